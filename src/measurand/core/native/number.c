/* Numbers as text, in the shortest form that reads back equal: what repr() writes, with the exponent of large numbers where Go's
   strconv puts it.

   Promise: the same bytes as format_number() of the Python twin, for every double. Numbers from 0.0001 to 2**53, which are nearly
   all that metrics hold, are written here; the rest is left to PyOS_double_to_string. */

#include "core.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define EXACT 9007199254740992.0 /* 2**53 */

static const char pairs[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* The decimal digits of a number, ending at `end`; returns where they begin. */
static inline char *digits_before(char *end, uint64_t number)
{
    while (number >= 100) {
        end -= 2;
        memcpy(end, &pairs[number % 100 * 2], 2);
        number /= 100;
    }
    if (number >= 10) {
        end -= 2;
        memcpy(end, &pairs[number * 2], 2);
    }
    else {
        *--end = (char)('0' + number);
    }
    return end;
}

/* digits, of which `whole` stand before the point, as d.ddde+xx */
static Py_ssize_t with_exponent(char *into, const char *digits, size_t count, size_t whole)
{
    char *to = into;
    while (count > 1 && digits[count - 1] == '0') {
        count--;
    }
    *to++ = digits[0];
    if (count > 1) {
        *to++ = '.';
        memcpy(to, digits + 1, count - 1);
        to += count - 1;
    }
    *to++ = 'e';
    *to++ = '+';
    memcpy(to, &pairs[(whole - 1) * 2], 2);
    return to + 2 - into;
}

static Py_ssize_t whole_number(double value, char *into)
{
    char space[24], *end = space + sizeof space, *to = into;
    char *digits = digits_before(end, (uint64_t)fabs(value));
    size_t count = (size_t)(end - digits);
    if (value >= 1e6) {
        return with_exponent(into, digits, count, count);
    }
    if (signbit(value)) {
        *to++ = '-';
    }
    memcpy(to, digits, count);
    to += count;
    memcpy(to, ".0", 2);
    return to + 2 - into;
}

#ifdef __SIZEOF_INT128__

typedef unsigned __int128 Wide;

static const uint64_t powers[] = {
    1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u, 100000000u, 1000000000u, 10000000000u, 100000000000u,
    1000000000000u, 10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u, 100000000000000000u,
    1000000000000000000u,
};

/* The number of the shortest decimal that reads back as the double, and how many of its digits stand behind the point.

   All is exact. The double is m * 2**-shift; multiplied by a power of ten that leaves 17 or 18 digits before the point, it and the
   bounds of what reads back as it are still less than 2**128 (m < 2**53, 10**21 < 2**70). Between the bounds there are whole
   numbers, as they are more than one apart. Of these are taken those that end with most zeros, and of these the one next to the
   double; of two as near the even one. */
static uint64_t shortest(double size, int *places)
{
    uint64_t m;
    int exponent = -3, scale, shift;
    memcpy(&m, &size, sizeof m);
    shift = 1075 - (int)(m >> 52) + 2; /* two more, as the bounds lie at halves and quarters */
    m = (m & 0xfffffffffffffu) | 0x10000000000000u;
    for (double power = 1e-3; size >= power; power *= 10.0) {
        exponent++;
    }
    scale = 17 - exponent;
    Wide factor = scale > 18 ? (Wide)powers[18] * powers[scale - 18] : powers[scale];
    Wide exact = 4 * m * factor, low = (4 * m - (m == 0x10000000000000u ? 1 : 2)) * factor, high = (4 * m + 2) * factor;
    Wide fraction = ((Wide)1 << shift) - 1;
    bool bounds_count = m % 2 == 0;
    uint64_t least = (uint64_t)(low >> shift) + !(bounds_count && (low & fraction) == 0);
    uint64_t most = (uint64_t)(high >> shift) - (!bounds_count && (high & fraction) == 0);
    uint64_t whole = (uint64_t)(exact >> shift), unit = 1;
    *places = scale;
    for (uint64_t fewer = (least + 9) / 10; fewer <= most / 10; fewer = (least + 9) / 10) {
        least = fewer;
        most /= 10;
        unit *= 10;
        --*places;
    }
    uint64_t number = whole / unit, rest = whole % unit * 2;
    bool more = (exact & fraction) != 0;
    if (unit == 1) {
        Wide twice = (exact & fraction) * 2, one = (Wide)1 << shift;
        number += twice > one || (twice == one && number % 2 == 1);
    }
    else {
        number += rest > unit || (rest == unit && (more || number % 2 == 1));
    }
    return number < least ? least : number > most ? most : number;
}

/* A number that is not whole, 0.0001 <= |value| < 2**53. */
static Py_ssize_t fractional(double value, char *into)
{
    char space[40], *end = space + sizeof space, *to = into;
    int places;
    char *digits = digits_before(end, shortest(fabs(value), &places));
    while (end - digits <= places) { /* a zero before the point, and those behind it */
        *--digits = '0';
    }
    size_t count = (size_t)(end - digits), whole = count - (size_t)places;
    if (value >= 1e6) {
        return with_exponent(into, digits, count, whole);
    }
    if (value < 0.0) {
        *to++ = '-';
    }
    memcpy(to, digits, whole);
    to += whole;
    *to++ = '.';
    memcpy(to, digits + whole, (size_t)places);
    return to + places - into;
}

#endif

static Py_ssize_t any_double(double value, char *into)
{
    char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
        PyErr_Clear(); /* it is MemoryError, which callers raise */
        return -1;
    }
    size_t length = strlen(text);
    Py_ssize_t written = (Py_ssize_t)length;
    const char *point = memchr(text, '.', length);
    if (value >= 1e6 && point != NULL && memchr(text, 'e', length) == NULL) {
        size_t whole = (size_t)(point - text);
        char digits[NUMBER_SIZE];
        memcpy(digits, text, whole);
        memcpy(digits + whole, point + 1, length - whole - 1);
        written = with_exponent(into, digits, length - 1, whole);
    }
    else {
        memcpy(into, text, length);
    }
    PyMem_Free(text);
    return written;
}

bool is_own_number(double value)
{
    double size = fabs(value);
#ifdef __SIZEOF_INT128__
    return !(size < 1e-4 || size >= EXACT) || size == 0.0 || isinf(value);
#else
    return isnan(value) || isinf(value) || (size < EXACT && value == (double)(int64_t)value);
#endif
}

Py_ssize_t format_number(double value, char *into)
{
    if (LIKELY(fabs(value) < EXACT && value == (double)(int64_t)value)) {
        return whole_number(value, into);
    }
    if (isnan(value)) {
        memcpy(into, "NaN", 3);
        return 3;
    }
    if (isinf(value)) {
        memcpy(into, value > 0 ? "+Inf" : "-Inf", 4);
        return 4;
    }
#ifdef __SIZEOF_INT128__
    if (fabs(value) >= 1e-4 && fabs(value) < EXACT) {
        return fractional(value, into);
    }
#endif
    return any_double(value, into);
}

static const Signature format_number_signature = {"format_number", 0, 1, 1, {"value"}};

PyObject *core_format_number(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    PyObject *given;
    char text[NUMBER_SIZE];
    if (take_arguments(&format_number_signature, args, nargs, names, &given) < 0) {
        return NULL;
    }
    double value = PyFloat_AsDouble(given);
    if (value == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    Py_ssize_t length = format_number(value, text);
    return length < 0 ? PyErr_NoMemory() : PyUnicode_FromStringAndSize(text, length);
}
