// SPDX-License-Identifier: Apache-2.0

// Package demo is something to look at for those who have nothing of their own
// running: an HTTP/2 server and a client on loopback, each to be run in a
// process of its own, and the traffic between them.
//
// [Start] starts both as children that end with the caller, however it ends:
// each lives as long as the pipe that is its standard input is open, whose
// other end only the caller holds.
package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"
)

// address is how the client finds the server; they trust each other by it.
type address struct {
	Host        string // with port, on loopback
	Certificate []byte // DER; none: without TLS
}

// withTLS says what the two speak.
const withTLS = true

// protocols are those of both ends: HTTP/2 alone.
func protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP2(withTLS)
	p.SetUnencryptedHTTP2(!withTLS)
	return p
}

// identity makes a certificate for a server on loopback, valid for the time
// of a demonstration.
func identity() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "h2sniff demo"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tell and hear pass an address on as a line.
func (a *address) tell(w io.Writer) error { return json.NewEncoder(w).Encode(a) }

func hear(r io.Reader) (*address, error) {
	var a address
	if err := json.NewDecoder(io.LimitReader(r, 64<<10)).Decode(&a); err != nil {
		return nil, fmt.Errorf("reading the server's address: %w", err)
	}
	return &a, nil
}
