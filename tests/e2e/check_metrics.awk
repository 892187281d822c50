# Is this Prometheus text (exposition format 0.0.4)? Each family has one HELP and one TYPE before its values, all of them together, no
# value stands twice, histograms are cumulative and end with +Inf = count. Prints what is wrong; the exit status says whether.
function wrong(what) { print FILENAME ": line " NR ": " what ": " $0; bad = 1 }
function end_histogram() {
    if (type == "histogram" && (!inf_seen || inf != count || count == "")) wrong("histogram " family " does not end in its count")
}
/^# HELP / { end_histogram(); if (($3 in helped)) wrong("a second HELP"); helped[$3] = 1; family = $3; type = ""; last = -1; inf_seen = 0; count = ""; if (NF < 4) wrong("no help"); next }
/^# TYPE / {
    if ($3 != family) wrong("TYPE of another family than HELP")
    if ($4 !~ /^(counter|gauge|histogram)$/ || NF != 4) wrong("no known type")
    if ($4 == "counter" && $3 !~ /_total$/) wrong("a counter that does not end in _total")
    type = $4
    next
}
/^#/ { wrong("a comment"); next }
{
    if ($0 !~ /^[a-z_:][a-z0-9_:]*(\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\})? (-?[0-9]+(\.[0-9]+)?|[+]Inf|NaN)$/) { wrong("no value line"); next }
    name = $0; sub(/[{ ].*/, "", name)
    key = $0; sub(/ [^ ]*$/, "", key)
    value = $0; sub(/.* /, "", value)
    if (key in seen) wrong("the same value twice")
    seen[key] = 1
    base = name
    if (type == "histogram") sub(/_(bucket|sum|count)$/, "", base)
    if (base != family || type == "") wrong("a value outside of its family")
    if (type == "counter" && value < 0) wrong("a negative counter")
    if (name ~ /_bucket$/ && type == "histogram") {
        if (value + 0 < last) wrong("a bucket below the one before")
        last = value + 0
        if (key ~ /le="\+Inf"/) { inf_seen = 1; inf = value }
    }
    if (name ~ /_count$/ && type == "histogram") count = value
}
END { end_histogram(); if (NR == 0) { print "nothing"; bad = 1 } exit bad }
