// Runs istiod (pilot-discovery) as it is, for tests on loopback: no container, no installation.
//
// With `secrets` as its first argument it stands in for the agent beside a proxy instead: it hands out a certificate
// made by the test, over the API at which Istio's proxies ask for theirs.
//
// It ends itself when its standard input ends: the test process holds the other end of that pipe, so a test process
// that is killed leaves nothing running behind.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secret "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"
	"istio.io/istio/pilot/cmd/pilot-discovery/app"
)

func main() {
	go endWithStandardInput()
	var err error
	if len(os.Args) == 4 && os.Args[1] == "secrets" {
		err = serveSecrets(os.Args[2], os.Args[3])
	} else {
		err = app.NewRootCommand().Execute()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// endWithStandardInput is deliberately abrupt: an orderly end takes seconds.
func endWithStandardInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// serveSecrets listens at address for proxies that ask for the files ca.pem, client.pem and client.key of folder.
func serveSecrets(address, folder string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	secret.RegisterSecretDiscoveryServiceServer(server, &secrets{folder: folder})
	return server.Serve(listener)
}

type secrets struct {
	secret.UnimplementedSecretDiscoveryServiceServer
	folder string
}

// StreamSecrets answers the first request of each stream: the later ones acknowledge, as nothing here ever changes.
func (s *secrets) StreamSecrets(stream secret.SecretDiscoveryService_StreamSecretsServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		if request.GetResponseNonce() != "" {
			continue
		}
		answer := &discovery.DiscoveryResponse{TypeUrl: request.GetTypeUrl(), VersionInfo: "1", Nonce: "1"}
		for _, name := range request.GetResourceNames() {
			resource, err := anypb.New(s.named(name))
			if err != nil {
				return err
			}
			answer.Resources = append(answer.Resources, resource)
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (s *secrets) named(name string) *tls.Secret {
	if name == "ROOTCA" {
		return &tls.Secret{Name: name, Type: &tls.Secret_ValidationContext{
			ValidationContext: &tls.CertificateValidationContext{TrustedCa: s.file("ca.pem")},
		}}
	}
	return &tls.Secret{Name: name, Type: &tls.Secret_TlsCertificate{
		TlsCertificate: &tls.TlsCertificate{CertificateChain: s.file("client.pem"), PrivateKey: s.file("client.key")},
	}}
}

func (s *secrets) file(name string) *core.DataSource {
	path := filepath.Join(s.folder, name)
	return &core.DataSource{Specifier: &core.DataSource_Filename{Filename: path}}
}
