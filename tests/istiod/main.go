// Runs istiod (pilot-discovery) as it is, for tests on loopback: no container, no installation.
//
// It ends itself when its standard input ends: the test process holds the other end of that pipe, so a test process
// that is killed leaves nothing running behind.
package main

import (
	"fmt"
	"io"
	"os"

	"istio.io/istio/pilot/cmd/pilot-discovery/app"
)

func main() {
	go endWithStandardInput()
	if err := app.NewRootCommand().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// endWithStandardInput is deliberately abrupt: an orderly end takes seconds.
func endWithStandardInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}
