package main

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/torchwood/bastion"
)

// serveBastion is the reference bastion, with the certificate of makeCert, for the backends whose hashes are in DIR/backends, which is
// read at every connection.
func serveBastion(dir, listen string) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "localhost.pem"), filepath.Join(dir, "localhost-key.pem"))
	must(err)
	getCert := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }
	b, err := bastion.New(&bastion.Config{
		GetCertificate: getCert,
		AllowedBackend: func(hash [sha256.Size]byte) bool {
			known, err := os.ReadFile(filepath.Join(dir, "backends"))
			return err == nil && strings.Contains(string(known), hex.EncodeToString(hash[:]))
		},
	})
	must(err)
	server := &http.Server{Handler: b, TLSConfig: &tls.Config{GetCertificate: getCert}}
	must(b.ConfigureServer(server))
	listener, err := net.Listen("tcp", listen)
	must(err)
	fmt.Printf("listening on https://localhost:%d\n", listener.Addr().(*net.TCPAddr).Port)
	must(server.ServeTLS(listener, "", ""))
}
