//go:build tools

// The command that test_interop.sh builds: named here so that go.mod has what it needs.
package main

import (
	_ "filippo.io/torchwood/cmd/litewitness"
)
