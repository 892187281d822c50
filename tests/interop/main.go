// Interoperation with the reference libraries of transparency logs: this program drives our witness and our log as their own
// clients would, and lends litewitness a key. For test_interop.sh; prints TAP.
//
//	interop vkey                              the vkey of the log that `witness` plays
//	interop witness URL VKEY                  our witness at URL, asked by golang.org/x/mod, filippo.io/torchwood and
//	                                          github.com/transparency-dev/formats
//	interop log URL POLICY BUNDLE             our log at URL: its checkpoint, tiles and entries, and a proof that it gave
//	interop add-log DATABASE ORIGIN VKEY      tells litewitness of a log
//	interop agent SOCKET NAME                 an SSH agent with a new key; prints its fingerprint and the witness's vkey
//	interop sigsum-vkey                       built with the tag sigsum: the vkey of the log that `sigsum` plays
//	interop sigsum URL VKEY                   likewise: our witness at URL, asked by sigsum.org/sigsum-go
//	interop cert DIR                          ca.pem, localhost.pem and localhost-key.pem
//	interop bastion DIR ADDRESS:PORT          the reference bastion, with them
package main

import (
	"fmt"
	"os"
)

var tests, failed int

// A Sigsum log, where sigsum-go is built in: not every module proxy has it.
var sigsum interface {
	vkey() string
	drive(url, vkey string)
}

func check(held bool, format string, args ...any) {
	tests++
	word := "ok"
	if !held {
		word = "not ok"
		failed++
	}
	fmt.Printf("%s %d - %s\n", word, tests, fmt.Sprintf(format, args...))
}

// because is what a check shows of an error.
func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// must ends the program: nothing that follows would mean anything.
func must(err error) {
	if err != nil {
		fmt.Printf("not ok %d - %v\n", tests+1, err)
		os.Exit(1)
	}
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 1 && args[0] == "vkey":
		_, vkey := logKey("interop.example/log")
		fmt.Println(vkey)
		return
	case len(args) == 3 && args[0] == "witness":
		driveWitness(args[1], args[2])
	case len(args) == 1 && args[0] == "sigsum-vkey" && sigsum != nil:
		fmt.Println(sigsum.vkey())
		return
	case len(args) == 3 && args[0] == "sigsum" && sigsum != nil:
		sigsum.drive(args[1], args[2])
	case len(args) == 4 && args[0] == "log":
		readLog(args[1], args[2], args[3])
	case len(args) == 4 && args[0] == "add-log":
		addLog(args[1], args[2], args[3])
		return
	case len(args) == 3 && args[0] == "agent":
		serveAgent(args[1], args[2])
		return
	case len(args) == 2 && args[0] == "cert":
		makeCert(args[1])
		return
	case len(args) == 3 && args[0] == "bastion":
		serveBastion(args[1], args[2])
		return
	default:
		fmt.Fprintln(os.Stderr, "usage: see the source")
		os.Exit(2)
	}
	fmt.Printf("1..%d\n", tests)
	if failed > 0 {
		os.Exit(1)
	}
}
