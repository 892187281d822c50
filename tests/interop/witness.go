package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"filippo.io/torchwood"
	formatslog "github.com/transparency-dev/formats/log"
	formatsnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A reader that gives always the same bytes: the log's key is the same in each run.
type fixed struct{ state [32]byte }

func (f *fixed) Read(out []byte) (int, error) {
	for i := range out {
		if i%32 == 0 {
			f.state = sha256.Sum256(f.state[:])
		}
		out[i] = f.state[i%32]
	}
	return len(out), nil
}

func logKey(name string) (skey, vkey string) {
	skey, vkey, err := note.GenerateKey(&fixed{sha256.Sum256([]byte(name))}, name)
	must(err)
	return
}

// A log in memory, as x/mod makes one.
type memory struct {
	hashes []tlog.Hash
	size   int64
	signer note.Signer
}

func (m *memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, m.hashes[i])
	}
	return out, nil
}

func (m *memory) grow(to int64) {
	for ; m.size < to; m.size++ {
		hashes, err := tlog.StoredHashes(m.size, []byte(fmt.Sprint("entry ", m.size)), m)
		must(err)
		m.hashes = append(m.hashes, hashes...)
	}
}

func (m *memory) checkpoint(size int64, extension string, signers ...note.Signer) []byte {
	root, err := tlog.TreeHash(size, m)
	must(err)
	text := torchwood.Checkpoint{Origin: m.signer.Name(), Tree: tlog.Tree{N: size, Hash: root}, Extension: extension}.String()
	signed, err := note.Sign(&note.Note{Text: text}, append([]note.Signer{m.signer}, signers...)...)
	must(err)
	return signed
}

func (m *memory) body(old, size int64, checkpoint []byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "old %d\n", old)
	if old > 0 && old < size {
		proof, err := tlog.ProveTree(size, old, m)
		must(err)
		for _, hash := range proof {
			fmt.Fprintln(&out, base64.StdEncoding.EncodeToString(hash[:]))
		}
	}
	out.WriteByte('\n')
	out.Write(checkpoint)
	return out.Bytes()
}

func post(url string, body []byte) (status int, contentType string, answer []byte) {
	response, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	must(err)
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	must(err)
	return response.StatusCode, response.Header.Get("Content-Type"), answer
}

// The answer, joined to the checkpoint as tlog-witness says, opens with both libraries' verifiers.
func cosigned(checkpoint, answer []byte, vkey string) bool {
	joined := append(bytes.Clone(checkpoint), answer...)
	ours, err := torchwood.NewCosignatureVerifier(vkey)
	must(err)
	theirs, err := formatsnote.NewVerifierForCosignatureV1(vkey)
	must(err)
	for _, verifier := range []note.Verifier{ours, theirs} {
		opened, err := note.Open(joined, note.VerifierList(verifier))
		if err != nil || len(opened.Sigs) != 1 {
			return false
		}
		at, err := torchwood.CosignatureTimestamp(opened.Sigs[0])
		if err != nil || time.Since(time.Unix(at, 0)).Abs() > 5*time.Minute {
			return false
		}
	}
	return true
}

func driveWitness(url, vkey string) {
	skey, logVkey := logKey("interop.example/log")
	signer, err := note.NewSigner(skey)
	must(err)
	verifier, err := note.NewVerifier(logVkey)
	must(err)
	strangerKey, _ := logKey("stranger.example")
	stranger, err := note.NewSigner(strangerKey)
	must(err)
	log := &memory{signer: signer}
	log.grow(5000)

	// Right: first contact, growth to all kinds of sizes, the same head, more signatures, extension lines.
	old := int64(0)
	for _, size := range []int64{1, 2, 3, 255, 256, 257, 1000, 1024, 4095, 4096, 4999} {
		checkpoint := log.checkpoint(size, "")
		status, _, answer := post(url, log.body(old, size, checkpoint))
		check(status == 200 && cosigned(checkpoint, answer, vkey), "from %d to %d entries: cosigned as both libraries see it", old, size)
		old = size
	}
	checkpoint := log.checkpoint(4999, "", stranger)
	status, _, answer := post(url, log.body(4999, 4999, checkpoint))
	check(status == 200 && cosigned(checkpoint, answer, vkey) && !strings.Contains(string(answer), "stranger"),
		"the same head again, with a stranger's signature beside the log's")
	checkpoint = log.checkpoint(5000, "an extension\n")
	status, _, answer = post(url, log.body(4999, 5000, checkpoint))
	check(status == 200 && cosigned(checkpoint, answer, vkey), "a checkpoint with an extension line")

	// What monitors see, through both libraries.
	id := sha256.Sum256([]byte("interop.example/log"))
	response, err := http.Get(url + "/" + hex.EncodeToString(id[:]) + "/checkpoint")
	must(err)
	shown, err := io.ReadAll(response.Body)
	must(err)
	response.Body.Close()
	witness, err := torchwood.NewCosignatureVerifier(vkey)
	must(err)
	policy := torchwood.ThresholdPolicy(3, torchwood.OriginPolicy("interop.example/log"), torchwood.SingleVerifierPolicy(verifier),
		torchwood.SingleVerifierPolicy(witness))
	seen, _, err := torchwood.VerifyCheckpoint(shown, policy)
	check(err == nil && seen.N == 5000, "torchwood verifies what the monitoring route shows, by the log's key and the witness's")
	parsed, _, _, err := formatslog.ParseCheckpoint(shown, "interop.example/log", verifier, witness)
	check(err == nil && parsed.Size == 5000, "formats/log parses it")

	// Wrong.
	status, contentType, answer := post(url, log.body(0, 10, log.checkpoint(10, "")))
	check(status == 409 && contentType == "text/x.tlog.size" && string(answer) == "5000\n", "an old head: 409 with the size")
	log.signer = stranger
	status, _, _ = post(url, log.body(5000, 5000, log.checkpoint(5000, "")))
	check(status == 404, "another log: 404")
	log.signer = signer
	good := log.checkpoint(5000, "")
	lines := strings.Split(strings.TrimSpace(string(good)), "\n")
	raw, err := base64.StdEncoding.DecodeString(strings.Fields(lines[len(lines)-1])[2])
	must(err)
	raw[20] ^= 1
	bad := append(bytes.Clone(good), fmt.Sprintf("— interop.example/log %s\n", base64.StdEncoding.EncodeToString(raw))...)
	_, err = note.Open(bad, note.VerifierList(verifier))
	status, _, _ = post(url, log.body(5000, 5000, bad))
	check(status == 403, "a good and then a bad signature of the log's key: 403%s", because(err))
	log.grow(6000)
	body := log.body(5000, 6000, log.checkpoint(6000, ""))
	spoilt := bytes.Replace(body, []byte("\n"), []byte("\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"), 1)
	status, _, _ = post(url, spoilt)
	check(status == 422, "a proof with a hash too many: 422")
	fork := &memory{signer: signer}
	fork.grow(4000)
	for ; fork.size < 5000; fork.size++ {
		hashes, err := tlog.StoredHashes(fork.size, []byte("another history"), fork)
		must(err)
		fork.hashes = append(fork.hashes, hashes...)
	}
	status, _, _ = post(url, fork.body(5000, 5000, fork.checkpoint(5000, "")))
	check(status == 422, "another root for the same size: 422")
	checkpoint = log.checkpoint(6000, "")
	status, _, answer = post(url, log.body(5000, 6000, checkpoint))
	check(status == 200 && cosigned(checkpoint, answer, vkey), "and the log goes on")
}
