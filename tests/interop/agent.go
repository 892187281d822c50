package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"

	"filippo.io/torchwood"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// serveAgent holds a new witness's key for litewitness, which asks for it over an SSH agent's socket.
func serveAgent(socket, name string) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	keyring := agent.NewKeyring()
	must(keyring.Add(agent.AddedKey{PrivateKey: private}))
	signer, err := torchwood.NewCosignatureSigner(name, private)
	must(err)
	sshKey, err := ssh.NewPublicKey(public)
	must(err)
	listener, err := net.Listen("unix", socket)
	must(err)
	fmt.Printf("fingerprint %s\nvkey %s\nlistening on %s\n", ssh.FingerprintSHA256(sshKey), signer.Verifier(), socket)
	for {
		connection, err := listener.Accept()
		must(err)
		go agent.ServeAgent(keyring, connection)
	}
}
