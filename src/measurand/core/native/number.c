/* Numbers as text, in the shortest form that reads back equal: what repr() writes, with the exponent of large numbers where Go's strconv puts it.

   Promise: the same bytes as format_number() of the Python twin, for every double. Whole numbers and short decimals, which are nearly all that metrics hold, are written
   here; the rest is left to PyOS_double_to_string. */

#include "core.h"

#include <math.h>
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

/* A decimal of few digits, 0.001 <= |value| < 1e6: when value * 10**k is a whole number below 10**15 that divides back to the value, its digits are the shortest that
   read back equal, for no two numbers of 15 digits share a double, and both the number and 10**k are exact. 0 if there is no such k. */
static Py_ssize_t short_decimal(double value, char *into)
{
    double size = fabs(value), power = 1.0;
    if (!(size >= 0.001 && size < 1e6)) {
        return 0;
    }
    for (int places = 1; places <= 17; places++) {
        power *= 10.0; /* exact to 10**22 */
        double product = size * power, number = rint(product);
        if (number >= 1e15) {
            return 0;
        }
        if (fabs(product - number) <= product * 0x1p-51 && number / power == size) {
            char space[40], *end = space + sizeof space, *to = into;
            char *digits = digits_before(end, (uint64_t)number);
            while (end - digits <= places) { /* a zero before the point, and those behind it */
                *--digits = '0';
            }
            size_t whole = (size_t)(end - digits) - (size_t)places;
            if (value < 0.0) {
                *to++ = '-';
            }
            memcpy(to, digits, whole);
            to += whole;
            *to++ = '.';
            memcpy(to, digits + whole, (size_t)places);
            return to + places - into;
        }
    }
    return 0;
}

static Py_ssize_t any_double(double value, char *into)
{
    char *text = PyOS_double_to_string(value, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
    if (text == NULL) {
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
    Py_ssize_t written = short_decimal(value, into);
    return written > 0 ? written : any_double(value, into);
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
    return length < 0 ? NULL : PyUnicode_FromStringAndSize(text, length);
}
