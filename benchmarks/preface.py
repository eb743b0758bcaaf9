"""What a reader has to know before the figures: the words of ``RESULTS.md``."""

from __future__ import annotations

__all__ = ["NOTES", "PREFACE"]

PREFACE = """
# Benchmarks

Written by `make bench`, not by hand. Benchmarks by the authors of one of the candidates deserve suspicion: here is what these
measure, how, and where they say little.

## How to read this page

**What is measured.** The cost of recording a number, of measuring a request, of rendering the registry, of all this where several
processes are one service, of destinations that are pushed to, and of having the library in the process at all.
Every library does the same work through its own documented interface, with the same labels, buckets and values; `_created` series
are off everywhere, and limits on the number of series are lifted.

**What is not.** Whether any of it matters to you. A service that counts a thousand events a second through prometheus_client's
`labels().inc()` spends about a thousandth of a core on it; what you notice first is more likely a scrape of many series. Nothing is
said here about features, and a library that does more per call may be worth its price:
OpenTelemetry's SDK carries views, exemplars and exchangeable aggregations through every call.

**How.** Each figure comes from a fresh process per library, benchmark and round, and rounds go round the libraries (A B C …,
A B C …), so that a slow minute of the machine hits all of them. Tables show the **median over the rounds**. A ratio in brackets is
*this library's figure divided by that of measurand on its C core, in the same round*; then the median of those. 20 x means that
measurand takes a twentieth. **Below 1 x, measurand loses.** A median of ratios is not the ratio of the medians, so dividing two
cells gives nearly, not exactly, the number in brackets.

**What noise does.** The machine is a shared virtual one, its clock is not fixed, and nothing is pinned to a core. "This run" says how
unsteady it was; under each table stands how far the rounds lie apart. A table that was measured in a run of its own says so above its
rows. Trust ratios more than times, large ratios more than small
ones, and no difference that is smaller than the spread.

**Where it is unfair.** A call that is repeated in a loop finds everything in the processor's caches; this flatters everybody, and the
smallest code most. Who takes labels as a dictionary pays here for a freedom that the others do not offer. The remarks under each
table name what else is not quite the same. A dash means that there is no fair equivalent.
"""

NO_REGISTRY = {
    name: (
        f"{peer} keeps no numbers that could be delivered: the benchmark keeps them for it, in a dict, and hands over the right ones. It "
        "takes no snapshot, works out no differences, and does not remember what has arrived; a service that did would have to be added.",
    )
    for name, peer in (("statsd", "statsd"), ("dogstatsd", "datadog"), ("cloudwatch", "boto3"), ("emf", "aws-embedded-metrics"))
}

NOTES: dict[str, tuple[str, ...]] = {
    "hot path": (
        "Each statement stands 20 times in a loop and uses local names, so that next to nothing but the call is measured. The cyclic "
        "garbage collector is off meanwhile, which favours those who allocate. Within a process the fastest of five loops counts: "
        "something else can only delay it. The clock is the thread's processor time, which leaves out what others take of the machine; "
        "these loops wait for nothing, so on an idle machine a wall clock shows the same.",
        "The empty C method is `float.conjugate()`: no argument, one type check, and it returns its own object. No other built-in "
        "method of the standard library that was tried is called faster, so this is the interpreter's own price for a call into C.",
        "Where labels are literals, the strings are the same objects in each turn, and a look-up finds them by identity. In the row "
        "with 1,000 series they are equal, not identical, and the series lie all over the memory.",
        "Nothing is subtracted: the figure of a timed function contains the call of the function itself, which stands below it.",
        "`timed(name)` is measurand's own: it makes the histogram, and labels each call with success or failure.",
    ),
    "threads": (
        "The threads take turns on the interpreter lock (every 5 ms, the default). So this is not about parallelism but about what "
        "contention costs, and whether the count is right.",
    ),
    "exposition": (
        "All numbers change between two scrapes. measurand keeps the fixed part of each line from its first scrape on (see memory, "
        "below): hence the difference between the first and the further ones. The garbage collector is on, as in a service. HTTP and "
        "compression are not included.",
        "The texts hold the same series (their lines are counted).",
    ),
    "http": (
        "A request for a route with one parameter, in the middle of the others, from the interface between server and application to "
        "its last byte; without network and server. The figure is the difference to the same application without the library, taken in "
        "turns within one process. It is processor time.",
        "Each library with its default metrics and with route templates as labels. They do not record the same: by default measurand "
        "counts requests and failures, times them and tracks those in progress; prometheus-fastapi-instrumentator times twice and "
        "takes sizes; starlette_exporter labels with method, path, status and application; prometheus_flask_exporter counts and times.",
        "measurand's figure is so small beside a request that noise of the request shows in it: look at the spread.",
    ),
    "queries": (
        "On a database of SQLite in memory, in turns with an engine that is left alone, within one process; the figure is the difference, "
        "in processor time. The second rows have another engine in the same process, with two listeners for events of cursors that do "
        "nothing: the least that a library pays which listens to statements.",
        "They do not record the same: measurand counts and times statements by kind, and pools, waits and uses of connections.",
    ),
    "processes": (
        "Processes are made by `os.fork()`, as a pre-forking server makes its workers, and inherit the metrics. measurand is not set up "
        "for this in any way; prometheus_client is in the multiprocess mode that its documentation describes (without it, it shows one "
        "process only), with its directory in memory, too.",
        "The rows of the hot path: in the same process, by turns, the statement on a metric whose numbers another living process can read, "
        "and on one that was never registered and stays in private memory.",
        "Workers come and go one at a time, four processes with 1,000 counters each at any moment; each worker records on every counter, "
        "and is killed. The totals of all that have ever lived are in each scrape (this is checked). Storage is what the files take of "
        "their device.",
        "A fork is timed from before it, with 1,000 counters of which some other process sees the numbers already, until the child has "
        "added one to a counter that it has inherited; the child's first increment is where prometheus_client notices that it is another "
        "process.",
    ),
    "backends": (
        "Where measurand has destinations, a thread of the service delivers to each of them four times a second meanwhile (StatsD, "
        "DogStatsD, a Pushgateway, OTLP and remote write, all real, to a process that swallows everything). What is timed is the processor "
        "time of the thread that records; what deliveries cost stands in the tables below. None, one and five take turns in one process. "
        "Of fifteen loops of 20 ms the fastest counts, and no delivery need have fallen into it: this shows that the call is the same, not "
        "that deliveries cost nothing.",
        "A count for (Dog)StatsD: statsd and datadog send a datagram to a UDP socket in the call; datadog, aggregating, adds up and sends "
        "in a thread of its own; measurand adds to a cell, and its exporter StatsD sends the differences.",
        "Where the labels are known before, measurand has a bound child, statsd a ready name, datadog a ready list of tags.",
    ),
    **{
        f"delivery_{name}": (
            "All counters have changed since the delivery before. From the numbers in memory to the last byte that the receiver has been "
            "handed, and its answer where there is one; the receiver is another process. For measurand this is all that a service does: a "
            "snapshot, differences where these are sent, encoding, sending. Each library sends three labels in every series.",
            *NO_REGISTRY.get(name, ()),
        )
        for name in ("statsd", "dogstatsd", "pushgateway", "remote_write", "otlp", "cloudwatch", "emf")
    },
    "stall": (
        "A tick's lateness is the time from when it should have run to when it ran; each tick that falls into a stall counts. A "
        "thread that scrapes without any pause is the worst case: a real Prometheus asks every 15 s or so, and the figures hold while "
        "the scrape lasts.",
        "A thread that runs Python code is asked for the interpreter lock after 5 ms: who renders in Python keeps others waiting for "
        "as long, time and again. C code that does not give the lock back keeps it to its end.",
        "The loop is one whose scrapes are rendered in another thread. An application that renders in the loop itself stops it for "
        "the whole scrape.",
    ),
    "memory": (
        "The growth of the resident set over 100,000 series, divided by their number; `tracemalloc` does not see what C code allocates. In "
        "the first two rows every label value is a new string that the library alone keeps; in the others somebody else keeps it "
        "anyway, so that it costs the library nothing. A service lies between the two. The 100,000 series have 5,009 different values; "
        "measurand keeps one string of those that are equal, the others keep each.",
        "After a scrape the figure contains what is kept for the next one, and what the allocator does not give back.",
    ),
    "import": (
        "Wall time of a fresh interpreter (`python -I -c …`) less that of a bare one in the same round; byte code and files are cached.",
        "Packages that load lazily pay at first use: hence the second row.",
    ),
}
