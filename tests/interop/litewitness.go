package main

import (
	"crypto/sha256"
	"encoding/base64"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// addLog tells litewitness of a log, or of another key of one, in the database that it has made at its start.
func addLog(database, origin, vkey string) {
	conn, err := sqlite.OpenConn(database, sqlite.OpenReadWrite)
	must(err)
	defer conn.Close()
	empty := sha256.Sum256(nil)
	root := base64.StdEncoding.EncodeToString(empty[:])
	must(sqlitex.Execute(conn, "INSERT OR IGNORE INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)",
		&sqlitex.ExecOptions{Args: []any{origin, root}}))
	must(sqlitex.Execute(conn, "INSERT INTO key (origin, key) VALUES (?, ?)", &sqlitex.ExecOptions{Args: []any{origin, vkey}}))
}
