/* The docstrings and signatures of everything that the C twin exports.

   Promise: word for word what the Python twin says, so that help() and inspect.signature() do not tell the twins apart. The Python twin
   is the original; when one changes, change the other (a test compares them). */

#ifndef MEASURAND_DOCS_H
#define MEASURAND_DOCS_H

#define DOC_module \
    "The C twin: what measurand.core.pure does, in C.\n" \
    "\n" \
    "What it promises stands in measurand.core.contract; its sources are in core/native."

/* CounterBase */

#define DOC_CounterBase \
    "A value that only goes up."

#define DOC_CounterBase_inc \
    "inc($self, /, amount=1, exemplar=None)\n--\n\n" \
    "Add ``amount`` (0 or more; default 1).\n" \
    "\n" \
    "Args:\n" \
    "    amount: What to add.\n" \
    "    exemplar: Labels that identify this event, for example a trace id; shown in OpenMetrics.\n" \
    "\n" \
    "Raises:\n" \
    "    RecordingError: ``amount`` is negative or NaN, or the exemplar is not valid; an invalid exemplar's amount is still added.\n" \
    "    LabelError: The metric has labels and this is not one of its series."

#define DOC_CounterBase_reset \
    "reset($self, /)\n--\n\n" \
    "Set the counter to zero, when what it counts has started anew although the process has not.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series."

/* Frozen */

#define DOC_Frozen \
    "A copy of one instrument's series, taken in one step.\n" \
    "\n" \
    "Made by :func:`freeze`. A row is ``(label values, cells)``, with a histogram's buckets made cumulative."

#define DOC_Frozen_len \
    "__len__($self, /)\n--\n\n"

#define DOC_Frozen_rows \
    "rows($self, /)\n--\n\n" \
    "Each series' label values (empty without labels) and numbers."

#define DOC_Frozen_payloads \
    "payloads($self, /)\n--\n\n" \
    "The rows whose series has an object attached, with the object."

#define DOC_Frozen_exemplars \
    "exemplars($self, /)\n--\n\n" \
    "The rows whose series has exemplars, with these by cell."

#define DOC_Frozen_created \
    "created($self, /)\n--\n\n" \
    "Each series' time of creation, in seconds since the Unix epoch."

#define DOC_Frozen_put \
    "put($self, /, row, value)\n--\n\n" \
    "Set the first number of a row."

#define DOC_Frozen_drop \
    "drop($self, /, rows)\n--\n\n" \
    "Leave out these rows."

/* GaugeBase */

#define DOC_GaugeBase \
    "A value that goes up and down."

#define DOC_GaugeBase_inc \
    "inc($self, /, amount=1)\n--\n\n" \
    "Add ``amount`` (default 1).\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series.\n" \
    "    RuntimeError: The gauge's processes combine by the most recent value, where adding means nothing."

#define DOC_GaugeBase_dec \
    "dec($self, /, amount=1)\n--\n\n" \
    "Subtract ``amount`` (default 1).\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series.\n" \
    "    RuntimeError: The gauge's processes combine by the most recent value, where subtracting means nothing."

#define DOC_GaugeBase_set \
    "set($self, /, value)\n--\n\n" \
    "Set the gauge to ``value``; anything that ``float()`` takes is accepted.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series."

#define DOC_GaugeBase_set_to_current_time \
    "set_to_current_time($self, /)\n--\n\n" \
    "Set the gauge to the current time, in seconds since the Unix epoch."

#define DOC_GaugeBase_replace \
    "replace($self, /, values)\n--\n\n" \
    "Make ``values`` the gauge's only series, in one step: a scrape sees the old ones or the new ones, never a part.\n" \
    "\n" \
    "Args:\n" \
    "    values: Label values to numbers. A key is a tuple of label values in the order of the label names, or the bare value\n" \
    "        when the metric has one label.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has no labels, or a key does not fit its label names; nothing has changed then."

#define DOC_GaugeBase_set_function \
    "set_function($self, /, f)\n--\n\n" \
    "Take the value from ``f`` at every scrape; what the other methods set is not shown from then on.\n" \
    "\n" \
    "``f`` may be called from any thread. When it raises or hangs, this series is left out of that scrape.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series."

#define DOC_GaugeBase_time \
    "time($self, /)\n--\n\n" \
    "Time a block or a function; sets the gauge to the duration in seconds."

/* HistogramBase */

#define DOC_HistogramBase \
    "Observations counted in buckets, and their sum."

#define DOC_HistogramBase_observe \
    "observe($self, /, amount, exemplar=None)\n--\n\n" \
    "Record one observation. NaN is left out, and said once.\n" \
    "\n" \
    "Args:\n" \
    "    amount: The observed value.\n" \
    "    exemplar: Labels that identify this event, for example a trace id; shown in OpenMetrics, on the bucket.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series.\n" \
    "    RecordingError: The exemplar is not valid; the observation is still counted."

#define DOC_HistogramBase_time \
    "time($self, /)\n--\n\n" \
    "Time a block or a function; observes the duration in seconds."

/* Instrument */

#define DOC_Instrument \
    "A root or one of its series; see ``measurand.core.contract``."

#define DOC_Instrument_labels \
    "labels($self, /, *labelvalues, **labelkwargs)\n--\n\n" \
    "Return the series with these label values, creating it at its first use.\n" \
    "\n" \
    "Values are given by position, in the order of the label names, or by keyword; each is converted with ``str()``.\n" \
    "Keep the returned series when the values are known early: recording on it skips the look-up.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has no labels, the values do not fit its label names, or this is a series already."

#define DOC_Instrument_remove \
    "remove($self, /, *labelvalues)\n--\n\n" \
    "Drop the series with these label values, if it exists.\n" \
    "\n" \
    "Code that kept the series can go on recording on it, unseen.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has no labels, or the number of values is not that of its label names."

#define DOC_Instrument_remove_by_labels \
    "remove_by_labels($self, /, labels)\n--\n\n" \
    "Drop every series whose labels include all of ``labels``; an empty mapping drops nothing.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has no labels, or not one of these names.\n" \
    "    TypeError: ``labels`` is not a mapping."

#define DOC_Instrument_clear \
    "clear($self, /)\n--\n\n" \
    "Drop every series of a metric with labels; without labels, do nothing."

/* Layout */

#define DOC_Layout \
    "Layout(pieces, split, lines)\n--\n\n" \
    "How the rows of one instrument become lines of text: fixed bytes, label values, numbers.\n" \
    "\n" \
    "A line is ``head {before mid after} number exemplar``; what stands before the number is kept with each series, so that a second\n" \
    "rendering writes numbers only. The parts are given as bytes that are already escaped.\n" \
    "\n" \
    "Args:\n" \
    "    pieces: The label block in order, as ``(text, index)``: the text, then the escaped label value with that index and a " \
    "closing quote;\n" \
    "        or the text alone if the index is -1. All but the first text start with a comma.\n" \
    "    split: After how many pieces a line's ``mid`` stands.\n" \
    "    lines: The lines of a row: ``(head, mid or None, number, exemplar)``, where ``number`` is the index in the row (-1: time of\n" \
    "        creation) and ``exemplar`` the cell whose exemplar the line shows (-1: none)."

#define DOC_Layout_render \
    "render($self, /, frozen, exemplar=None)\n--\n\n" \
    "The lines of all rows.\n" \
    "\n" \
    "Args:\n" \
    "    frozen: The rows.\n" \
    "    exemplar: Turns an exemplar into what follows the number; ``None`` leaves exemplars out.\n" \
    "\n" \
    "Returns:\n" \
    "    UTF-8 text, each line ending with a line feed."

/* SummaryBase */

#define DOC_SummaryBase \
    "The number and the sum of observations."

#define DOC_SummaryBase_observe \
    "observe($self, /, amount)\n--\n\n" \
    "Record one observation. NaN is left out, and said once.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series."

#define DOC_SummaryBase_time \
    "time($self, /)\n--\n\n" \
    "Time a block or a function; observes the duration in seconds."

/* Timer */

#define DOC_Timer \
    "Timer(metric, callback_name)\n--\n\n" \
    "Times a ``with`` block, or each call of a decorated function, and hands the seconds to an instrument.\n" \
    "\n" \
    "Made by ``time()``. As a decorator it fits functions, coroutine functions, generators and asynchronous generators.\n" \
    "\n" \
    "Attributes:\n" \
    "    duration: Seconds that the last ``with`` block took; ``None`` before its end."

#define DOC_Timer_enter \
    "__enter__($self, /)\n--\n\n"

#define DOC_Timer_exit \
    "__exit__($self, /, exc_type=None, exc=None, traceback=None)\n--\n\n"

#define DOC_Timer_labels \
    "labels($self, /, *labelvalues, **labelkwargs)\n--\n\n" \
    "Choose the series to record on, inside the block, when its labels are known only then."

#define DOC_Timer_since \
    "since($self, /, start, exc=None)\n--\n\n" \
    "Record the seconds from ``start`` (a value of ``now()``) to now."

#define DOC_Timer_call \
    "__call__($self, /, f)\n--\n\n" \
    "Decorate ``f``: each call is timed on its own."

/* OutcomeTimer */

#define DOC_OutcomeTimer \
    "OutcomeTimer(metric, callback_name, succeeded, failed)\n--\n\n" \
    "Hands durations to one of two series of a metric, after what became of the thing timed.\n" \
    "\n" \
    "The series is the one that ``labels()`` leads to at that moment, so that one that was removed comes back.\n" \
    "\n" \
    "Args:\n" \
    "    metric: The metric.\n" \
    "    callback_name: Which of the series' methods takes the seconds.\n" \
    "    succeeded: The label values of what ended well; empty for a metric that needs none.\n" \
    "    failed: Those of what an exception ended."

#define DOC_OutcomeTimer_since \
    "since($self, /, start, exc=None)\n--\n\n" \
    "Record the seconds from ``start`` (a value of ``now()``) to now, and return them."

#define DOC_children \
    "children($module, instrument)\n--\n\n" \
    "A root's children in the order of their creation, the overflow series included."

#define DOC_created \
    "created($module, series)\n--\n\n" \
    "When the series came to be or was reset, in seconds since the Unix epoch."

#define DOC_define \
    "define($module, instrument, spec)\n--\n\n" \
    "Make ``instrument`` a root.\n" \
    "\n" \
    "Without label names it gets its cells at once. May be called again: the instrument then starts from nothing."

#define DOC_dropped \
    "dropped($module, instrument)\n--\n\n" \
    "How often ``labels()`` was answered with the overflow series."

#define DOC_exemplars \
    "exemplars($module, series)\n--\n\n" \
    "The latest exemplar by cell."

#define DOC_format_number \
    "format_number($module, value)\n--\n\n" \
    "A double in the shortest form that reads back equal, with the exponent where Go's ``strconv`` puts it (\"1e+06\", \"+Inf\")."

#define DOC_freeze \
    "freeze($module, instrument)\n--\n\n" \
    "Copy all series of a root, dropping those that have expired."

#define DOC_key \
    "key($module, series)\n--\n\n" \
    "A child's label values; ``None`` for a root."

#define DOC_now \
    "now($module)\n--\n\n" \
    "The monotonic clock, in seconds; what timers read."

#define DOC_payload \
    "payload($module, series)\n--\n\n" \
    "The object attached to a series: a gauge's callback, or what the layer above keeps there."

#define DOC_read \
    "read($module, series)\n--\n\n" \
    "The cells of one series; empty for a root that has labels."

#define DOC_root \
    "root($module, series)\n--\n\n" \
    "The instrument that was defined; a root is its own."

#define DOC_set_payload \
    "set_payload($module, series, value)\n--\n\n" \
    "Attach an object to a series; ``None`` detaches."

#define DOC_spec \
    "spec($module, series)\n--\n\n" \
    "What the series' root was defined with."

#define DOC_set_exemplars \
    "set_exemplars($module, series, exemplars)\n--\n\n" \
    "Give a series these exemplars by cell, in place of those that it has."

#define DOC_move \
    "move($module, series, memory, offset, how)\n--\n\n" \
    "Let a series have its cells in other memory, in one step; nothing that is recorded meanwhile is lost.\n" \
    "\n" \
    "Args:\n" \
    "    series: The series; its gauge's cell is followed by two marks there, see the contract.\n" \
    "    memory: A writable memoryview of doubles; it lives as long as a series has its cells in it.\n" \
    "    offset: Where in it, counted in cells.\n" \
    "    how: \"keep\" the series' numbers, \"add\" them to those that are there, or \"leave\" those that are there as they are.\n" \
    "        A gauge that was set keeps its number where it would be added; a series that is there already is left alone.\n" \
    "\n" \
    "Raises:\n" \
    "    LabelError: The metric has labels and this is not one of its series.\n" \
    "    TypeError: The memory is not a writable memoryview of doubles.\n" \
    "    ValueError: It ends before the last cell, or the way to move is not known."

#define DOC_watch \
    "watch($module, instrument, watcher)\n--\n\n" \
    "Have each child told to ``watcher(series)`` once it stands in the table, new or back after it had expired; ``None`` for nobody.\n" \
    "\n" \
    "What the watcher raises leaves ``labels()``, or whatever it is that made the series; the series stays. It may have been recorded on,\n" \
    "and it may be gone again."

#define DOC_is_at \
    "is_at($module, series, memory, offset)\n--\n\n" \
    "Whether a series has its cells at this place."

#define DOC_stands \
    "stands($module, series)\n--\n\n" \
    "Whether a series is shown: a root always, a child until it is removed or has expired."

#define DOC_write \
    "write($module, series, index, value)\n--\n\n" \
    "Set one cell, negative indices counting from the end."

#endif
