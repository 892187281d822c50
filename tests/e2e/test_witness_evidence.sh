#!/bin/sh
# What a witness keeps against a log, and what others make of it. TAP.
. "$(dirname "$0")/lib.sh"
. "$here/witness_lib.sh"
stele-witness init "$W/w" --name w.example >/dev/null 2>&1
for log in a b c d e f g; do stele-witness add-log "$W/w" "$(witness_log vkey $log.example)" >/dev/null 2>&1; done
file() { echo "$W/w/$1/$(printf %s "$2" | sha256sum | cut -c1-64)"; }
# there FILE: waits for it.
there() { [ "$(soon yes sh -c "[ -s '$1' ] && echo yes")" = yes ]; }
gone() { [ "$(soon yes sh -c "[ -e '$1' ] || echo yes")" = yes ]; }
evidence() { stele verify-evidence "$@"; }
# tiles NAME ORIGIN SIZE [FORK]: a tiled log; its URL is `url NAME`.
tiles() {
    mkdir "$W/tiles-$1"
    witness_log tiles "$2" "$3" "$W/tiles-$1" ${4:+"$4"}
    static_server "$1" "$W/tiles-$1"
}
serve

# A disk that does not take it.
: >"$W/w/evidence"
send g.example 0 10 >"$W/ignored"
status "evidence that cannot be written: the head is refused all the same" 422 "$(send g.example 10 10 3)"
says "and it is reported" "evidence-not-written" "$W/run/w.err"
rm "$W/w/evidence"
send g.example 10 11 >"$W/ignored"
accepts "once it can, it is" there "$(file evidence g.example)"
accepts "whole" evidence "$(file evidence g.example)"

# Two heads of one size.
send a.example 0 10 >"$W/ignored"
# The file is there when the answer is: no wait.
status "another root at the size just cosigned" 422 "$(send a.example 10 10 3)"
accepts "leaves evidence, before it is answered" test -s "$(file evidence a.example)"
accepts "which a third person can verify" evidence "$(file evidence a.example)"
says "and understand" "PROVEN: the log a.example signed two histories" "$W/out"
says "by the key that signed it" "if this is the log's key: a\\.example\\+" "$W/out"
cp "$(file evidence a.example)" "$W/a"
send a.example 10 10 4 >"$W/ignored"
send a.example 10 11 >"$W/ignored"
send a.example 11 11 3 >"$W/ignored"
sleep 0.7
accepts "it is kept once" cmp "$W/a" "$(file evidence a.example)"
same "the metrics say so" 1 "$(soon 1 metric 'stele_witness_forked{origin="a.example"}')"
send b.example 0 10 >"$W/ignored"
status "another root at the newest size, with an old size that is not" 409 "$(send b.example 7 10 3)"
accepts "is evidence, too" test -s "$(file evidence b.example)"
accepts "that verifies" evidence "$(file evidence b.example)"

# What is no evidence.
sed 's/^second .*/second 5/' "$W/a" >"$W/bad"
refuses "a length that is wrong" "lengths" evidence "$W/bad"
sed "s/^key .*/key $(witness_log vkey a.example 1 | sed 's/[\\/&]/\\&/g')/" "$W/a" >"$W/bad"
refuses "another key" "the first head.*not signed by a known key" evidence "$W/bad"
first=$(sed -n 's/^first //p' "$W/a") second=$(sed -n 's/^second //p' "$W/a")
{
    sed "/^\$/q; s/^second .*/second $first/" "$W/a"
    tail -c $((first + second)) "$W/a" | head -c "$first"
    tail -c $((first + second)) "$W/a" | head -c "$first"
} >"$W/bad"
refuses "the same head twice" "same size and root" evidence "$W/bad"
refuses "a file that is none" "does not start as|does not start with" evidence "$W/request"

# A proof that does not hold, of a log that forked.
send c.example 0 10 >"$W/ignored"
status "a head of another history, with that history's proof" 422 "$(send c.example 10 20 3)"
accepts "makes a suspect" there "$(file suspects c.example)"
accepts "and no evidence" test ! -e "$(file evidence c.example)"
refuses "which by itself shows nothing" "a suspect: the log signed both heads, of 10 and 20 entries" evidence "$(file suspects c.example)"
tiles c c.example 300
tiles small c.example 15
accepts "the log's tiles settle it" evidence "$(file suspects c.example)" --from "$(url c)" --out "$W/c"
says "with what the root should have been" "the second's tree had: 20 entries" "$W/out"
accepts "and give evidence that needs no tiles" evidence "$W/c"
sed 's/^root \(.\)/root A\1/; s/^\(root .\{44\}\).*/\1/' "$W/c" >"$W/bad"
refuses "which does not verify with another root" "evidence|proof|root|line" evidence "$W/bad"
sed '0,/^proof /{/^proof /d}' "$W/c" >"$W/bad"
refuses "nor with a shorter proof" "proof" evidence "$W/bad"
refuses "a tree that is too small settles nothing" "not settled: .* shows 15 entries" evidence "$(file suspects c.example)" --from "$(url small)"
tiles fork c.example 280 3
accepts "the tiles of the other history settle it as well" evidence "$(file suspects c.example)" --from "$(url fork)" --out "$W/c2"
says "against the head that was cosigned" "first head: 10 entries" "$W/out"
accepts "with evidence that needs no tiles" evidence "$W/c2"
refuses "--out does not overwrite" "exists" evidence "$(file suspects c.example)" --from "$(url c)" --out "$W/c"
printf 'x' | dd of="$W/tiles-c/tile/0/000" bs=1 conv=notrunc 2>"$W/ignored"
refuses "tiles that are not the checkpoint's settle nothing" "do not give the root" evidence "$(file suspects c.example)" --from "$(url c)"
cp "$W/tiles-small/checkpoint" "$W/tiles-c/checkpoint"
tiles other d.example 300
refuses "nor does another log" "checkpoint at" evidence "$(file suspects c.example)" --from "$(url other)"

# The same, of an honest log, by somebody who sent its head with a bad proof.
send d.example 0 10 >"$W/ignored"
witness_log request d.example 10 20 3 | sed '/^$/q' >"$W/request"
witness_log note d.example 20 >>"$W/request"
curl -s -o "$W/body" --data-binary "@$W/request" "$(url w)/add-checkpoint"
accepts "an honest head with a bad proof makes a suspect" there "$(file suspects d.example)"
refuses "that the log's tiles clear" "no fork: .* holds both heads" evidence "$(file suspects d.example)" --from "$(url other)"
same "the metrics have it" 1 "$(soon 1 metric 'stele_witness_suspected{origin="d.example"}')"
stop w
serve
same "also after a restart" 1 "$(metric 'stele_witness_suspected{origin="d.example"}')"
same "and the evidence" 1 "$(metric 'stele_witness_forked{origin="a.example"}')"
status "the log's own request" 200 "$(send d.example 10 20)"
accepts "clears it" gone "$(file suspects d.example)"
same "in the metrics too" "" "$(soon "" metric 'stele_witness_suspected{origin="d.example"}')"

# A suspect that meets its match.
send e.example 0 10 >"$W/ignored"
send e.example 10 20 3 >"$W/ignored"
status "the other history's head of a suspect's size" 200 "$(send e.example 10 20)"
accepts "makes evidence of it" there "$(file evidence e.example)"
accepts "that verifies" evidence "$(file evidence e.example)"
accepts "instead of the suspect" gone "$(file suspects e.example)"
send f.example 0 10 >"$W/ignored"
send f.example 10 20 3 >"$W/ignored"
send f.example 10 20 4 >"$W/ignored"
accepts "two suspects of one size are evidence before anything is cosigned" there "$(file evidence f.example)"
accepts "that verifies" evidence "$(file evidence f.example)"

# Other keys.
stele-witness add-log "$W/w" "$(witness_log vkey h.example)" >/dev/null 2>&1
reread
same "a log under its first key" 200 "$(soon 200 send h.example 0 10)"
stele-witness add-log "$W/w" "$(witness_log vkey h.example 1)" >/dev/null 2>&1
stele-witness remove-log "$W/w" h.example --key "$(witness_log vkey h.example)" >/dev/null 2>&1
reread
# Until it has reread, this is a repetition; a contradiction would be evidence.
same "that is not taken any more" 403 "$(soon 403 send h.example 10 10)"
status "nor what contradicts what it took" 403 "$(send h.example 10 10 3)"
status "the new key contradicts it" 422 "$(send h.example 10 10 3 1)"
status "or says what does not follow" 422 "$(send h.example 10 12 3 1)"
status "and goes on" 200 "$(send h.example 10 11 - 1)"
accepts "which leaves nothing that nobody could verify" test ! -e "$(file evidence h.example)"
status "the new key contradicts itself" 422 "$(send h.example 11 11 3 1)"
accepts "which is evidence" test -s "$(file evidence h.example)"
accepts "that verifies" evidence "$(file evidence h.example)"
stop w
done_testing
