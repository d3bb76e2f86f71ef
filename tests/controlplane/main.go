// Command controlplane is a real etcd, kube-apiserver and kube-controller-manager in one binary,
// chosen by the first argument, so that tests need no container engine and no download by hand.
// A node is there for port-forwards alone.
//
// Each component ends itself when its standard input ends: the test process holds the other end of that pipe, so a
// test process that is killed leaves nothing running behind.
package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) < 2 {
		fail("usage: controlplane etcd|kube-apiserver|kube-controller-manager|node [flags]")
	}
	component := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	go endWithStandardInput()
	switch component {
	case "etcd":
		etcd()
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "node":
		node()
	default:
		fail("no component is called " + component)
	}
}

// endWithStandardInput is deliberately abrupt: the data is a test's, and an orderly end takes seconds.
func endWithStandardInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// etcd serves one member: `etcd DATA_DIR CLIENT_URL PEER_URL`.
func etcd() {
	if len(os.Args) != 4 {
		fail("usage: controlplane etcd DATA_DIR CLIENT_URL PEER_URL")
	}
	config := embed.NewConfig()
	config.Dir = os.Args[1]
	config.ListenClientUrls = []url.URL{parse(os.Args[2])}
	config.AdvertiseClientUrls = config.ListenClientUrls
	config.ListenPeerUrls = []url.URL{parse(os.Args[3])}
	config.AdvertisePeerUrls = config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogLevel = "error"
	// The data is thrown away with the test: losing it in a power cut costs nothing.
	config.UnsafeNoFsync = true
	server, err := embed.StartEtcd(config)
	if err != nil {
		fail(err.Error())
	}
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(60 * time.Second):
		server.Close()
		fail("etcd was not ready after 60 s")
	}
	fail((<-server.Err()).Error())
}

func parse(text string) url.URL {
	address, err := url.Parse(text)
	if err != nil {
		fail(err.Error())
	}
	return *address
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}
