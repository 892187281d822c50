package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// readLog reads the whole log as torchwood's client does, under the policy, and verifies a proof that the log gave.
func readLog(url, policyFile, bundleFile string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	text, err := os.ReadFile(policyFile)
	must(err)
	policy, err := torchwood.ParsePolicy(text)
	must(err)
	response, err := http.Get(url + "/checkpoint")
	must(err)
	signed, err := io.ReadAll(response.Body)
	must(err)
	response.Body.Close()
	checkpoint, _, err := torchwood.VerifyCheckpoint(signed, policy)
	check(err == nil, "torchwood verifies the checkpoint under the policy%s", because(err))

	fetcher, err := torchwood.NewTileFetcher(url)
	must(err)
	client, err := torchwood.NewClient(fetcher)
	must(err)
	n := int64(0)
	var last []byte
	for index, entry := range client.AllEntries(ctx, checkpoint.Tree, 0) {
		if index != n {
			break
		}
		n++
		last = entry
	}
	check(client.Err() == nil && n == checkpoint.N, "its client reads and verifies all %d entries%s", checkpoint.N, because(client.Err()))
	entry, proof, err := client.Entry(ctx, checkpoint.Tree, checkpoint.N-1)
	check(err == nil && string(entry) == string(last), "and one entry with its proof%s", because(err))
	err = tlog.CheckRecord(proof, checkpoint.N, checkpoint.Hash, checkpoint.N-1, tlog.RecordHash(entry))
	check(err == nil, "which x/mod verifies%s", because(err))

	bundle, err := os.ReadFile(bundleFile)
	must(err)
	extra, err := torchwood.ProofExtraData(bundle)
	check(err == nil && strings.HasPrefix(string(extra), `{"payload":`), "a proof that the log gave carries its envelope%s", because(err))
	err = torchwood.VerifyProof(policy, tlog.RecordHash(extra), bundle)
	check(err == nil, "and verifies offline%s", because(err))
	err = torchwood.VerifyProof(policy, tlog.RecordHash(extra[1:]), bundle)
	check(err != nil, "not for another envelope")
	wrong := strings.Replace(string(bundle), base64.StdEncoding.EncodeToString(checkpoint.Hash[:]), fmt.Sprintf("%043d=", 0), 1)
	err = torchwood.VerifyProof(policy, tlog.RecordHash(extra), []byte(wrong))
	check(err != nil, "nor with another root")
}
