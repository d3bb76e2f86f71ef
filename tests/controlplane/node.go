package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/kubelet/pkg/cri/streaming/portforward"
)

// node serves what the API server asks the kubelet of a node for port-forwards: `node ADDRESS FORWARDS`. The protocol is
// spoken by the kubelet's own code. A container runtime would then dial localhost in the network of the pod; here the file
// FORWARDS says where each port of a pod is: lines of `namespace/pod:port address`, read again for each connection.
func node() {
	if len(os.Args) != 3 {
		fail("usage: controlplane node ADDRESS FORWARDS")
	}
	host, _, err := net.SplitHostPort(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		fail(err.Error())
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		fail(err.Error())
	}
	handler := http.NewServeMux()
	handler.HandleFunc("/portForward/{namespace}/{pod}", func(w http.ResponseWriter, req *http.Request) {
		options, err := portforward.NewV4Options(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		pod := req.PathValue("namespace") + "/" + req.PathValue("pod")
		portforward.ServePortForward(w, req, forwarder(os.Args[2]), pod, "", options, 4*time.Hour, 30*time.Second,
			portforward.SupportedProtocols)
	})
	// The API server's proxy upgrades HTTP/1.1 alone.
	server := http.Server{Addr: os.Args[1], Handler: handler, TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}}
	fail(server.ListenAndServeTLS("", "").Error())
}

// forwarder is the path of the file that says where ports of pods are.
type forwarder string

func (f forwarder) PortForward(_ context.Context, pod string, _ types.UID, port int32, stream io.ReadWriteCloser) error {
	text, err := os.ReadFile(string(f))
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(text), "\n") {
		address, found := strings.CutPrefix(line, fmt.Sprintf("%s:%d ", pod, port))
		if !found {
			continue
		}
		inside, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer inside.Close()
		ended := make(chan struct{}, 2)
		go copied(inside, stream, ended)
		go copied(stream, inside, ended)
		<-ended
		return nil
	}
	return fmt.Errorf("nothing listens on port %d of pod %s", port, pod)
}

func copied(to io.Writer, from io.Reader, ended chan<- struct{}) {
	_, _ = io.Copy(to, from)
	ended <- struct{}{}
}
