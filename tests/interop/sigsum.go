//go:build sigsum

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"sigsum.org/sigsum-go/pkg/api"
	"sigsum.org/sigsum-go/pkg/checkpoint"
	"sigsum.org/sigsum-go/pkg/client"
	"sigsum.org/sigsum-go/pkg/crypto"
	"sigsum.org/sigsum-go/pkg/merkle"
	"sigsum.org/sigsum-go/pkg/requests"
	"sigsum.org/sigsum-go/pkg/types"
)

type sigsumLog struct{}

func init() { sigsum = sigsumLog{} }

// A Sigsum log's key, the same in each run, and its origin.
func sigsumKey() (*crypto.Ed25519Signer, string) {
	seed := crypto.PrivateKey(crypto.HashBytes([]byte("a Sigsum log")))
	signer := crypto.NewEd25519Signer(&seed)
	public := signer.Public()
	return signer, types.SigsumCheckpointOrigin(&public)
}

func (sigsumLog) vkey() string {
	signer, origin := sigsumKey()
	public := signer.Public()
	id := checkpoint.NewLogKeyId(origin, &public)
	return fmt.Sprintf("%s+%x+%s", origin, id[:], base64.StdEncoding.EncodeToString(append([]byte{1}, public[:]...)))
}

// drive asks our witness at url, whose vkey is given, as a Sigsum log does: with sigsum-go's tree, requests and client.
func (sigsumLog) drive(url, vkey string) {
	signer, origin := sigsumKey()
	fields := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(fields[2])
	must(err)
	witness := crypto.PublicKey(raw[1:])
	asking := client.New(client.Config{URL: url, UserAgent: "interop"})
	tree := merkle.NewTree()
	grow := func(to uint64) {
		for tree.Size() < to {
			leaf := merkle.HashLeafNode([]byte(fmt.Sprint("leaf ", tree.Size())))
			tree.AddLeafHash(&leaf)
		}
	}
	request := func(old uint64) requests.AddCheckpoint {
		head := types.TreeHead{Size: tree.Size(), RootHash: tree.GetRootHash()}
		signed, err := head.Sign(signer)
		must(err)
		public := signer.Public()
		req := requests.AddCheckpoint{OldSize: old, Checkpoint: checkpoint.Checkpoint{SignedTreeHead: signed, Origin: origin,
			KeyId: checkpoint.NewLogKeyId(origin, &public)}}
		if old > 0 && old < tree.Size() {
			req.Proof.Path, err = tree.ProveConsistency(old, tree.Size())
			must(err)
		}
		return req
	}
	cosigned := func(req requests.AddCheckpoint) error {
		lines, err := asking.AddCheckpoint(context.Background(), req)
		if err != nil {
			return err
		}
		_, err = req.Checkpoint.VerifyCosignatureByKey(lines, &witness)
		return err
	}

	old := uint64(0)
	for _, size := range []uint64{1, 2, 7, 8, 9, 100, 1000} {
		grow(size)
		err := cosigned(request(old))
		check(err == nil, "from %d to %d leaves: cosigned as sigsum-go sees it%s", old, size, because(err))
		old = size
	}
	err = cosigned(request(old))
	check(err == nil, "the same head again%s", because(err))
	grow(1001)
	var apiErr *api.Error
	err = cosigned(request(999))
	size, known := api.ErrorConflictOldSize(err)
	check(errors.Is(err, api.ErrConflict) && known && size == 1000, "an old head: the conflict's size is read")
	bad := request(1000)
	bad.Proof.Path[0][0] ^= 1
	err = cosigned(bad)
	check(errors.As(err, &apiErr) && apiErr.StatusCode() == 422, "a proof that does not hold: 422")
	bad = request(1000)
	bad.Checkpoint.Signature[0] ^= 1
	err = cosigned(bad)
	check(errors.As(err, &apiErr) && apiErr.StatusCode() == 403, "a signature that does not verify: 403")
	err = cosigned(request(1000))
	check(err == nil, "and the log goes on%s", because(err))
}
