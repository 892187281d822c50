#!/bin/sh
# Draws what `make bench` measured, throughput above and latency below: DATA/load.svg over the clients at once, from load.dat, a line
# "CLIENTS ENTRIES_S P50_MS P99_MS" each; DATA/growth.svg over the size of the tree, from growth.dat, "SIZE", then the same three
# for one attestation a request and for JSON lines.
#   plot.sh DATA TITLE
set -eu
cd "$1"
# draw FILE TITLE X_LABEL SECOND: SECOND is "" where there is one series alone.
draw() {
    gnuplot <<END
set terminal svg size 900,640 font "sans-serif,13" background "white"
set output "$1.svg"
set multiplot layout 2,1 title "$2\\n{/*0.8 $title}" enhanced
set lmargin 11
set rmargin 32
set grid ytics lc rgb "#dddddd"
set border 3 lc rgb "#666666"
set tics nomirror
set key outside right center reverse Left samplen 2
set logscale x
$4
set ylabel "entries a second"
set yrange [0:*]
set format y "%'.0f"
plot $5
set xlabel "$3"
set ylabel "ms from POST to proof"
set logscale y
set yrange [*:*]
set ytics (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
set format y "%g"
plot $6
END
}
title=$(printf '%s' "$2" | sed 's/[_^@&~{}]/\\\\&/g')
one='lc rgb "#1b6ca8" pt 7 ps 0.7 lw 2' lines='lc rgb "#c8553d" pt 5 ps 0.7 lw 2'
draw load "One attestation a request, two witnesses, over the clients at once" "clients" 'set xtics (1, 4, 16, 64, 256, 1024); set xrange [1:1024]' \
    "'load.dat' using 1:2 with linespoints $one notitle" \
    "'load.dat' using 1:3 with linespoints $one title 'p50', '' using 1:4 with linespoints $one dt 2 title 'p99'"
draw growth "Posts to a log without witnesses, over the size of its tree" "entries in the log" 'set format x "10^{%L}"' \
    "'growth.dat' using 1:2 with linespoints $one title 'one a request, 64 clients', '' using 1:5 with linespoints $lines title 'JSON lines of 256, 8 clients'" \
    "'growth.dat' using 1:3 with linespoints $one title 'one a request, p50', '' using 1:4 with linespoints $one dt 2 title 'p99', \
     '' using 1:6 with linespoints $lines title 'JSON lines, p50', '' using 1:7 with linespoints $lines dt 2 title 'p99'"
