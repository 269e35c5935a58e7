// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// streamWindow is what the server may send on a stream before the client has
// read some of it, in octets. It is small so that a slow reader stalls one.
const streamWindow = 128 << 10

// maxFailures is how many rounds may fail one after the other.
const maxFailures = 3

// Request makes requests until in ends or ctx does, or the server does not
// answer any more. It begins when in has told the address of the server.
func Request(ctx context.Context, in io.Reader) error {
	a, err := hear(in)
	if errors.Is(err, io.EOF) {
		return nil // never told to begin
	}
	if err != nil {
		return err
	}
	ctx, cancel := untilEnd(ctx, in)
	defer cancel()
	c, err := newClient(a)
	if err != nil {
		return err
	}
	failures := 0
	for n := 1; ctx.Err() == nil; n++ {
		if err := c.round(ctx, n); err == nil {
			failures = 0
		} else if failures++; failures == maxFailures {
			return err
		}
		pause(ctx, 300*time.Millisecond)
	}
	return nil
}

type client struct {
	http http.Client
	base string
}

func newClient(a *address) (*client, error) {
	transport := &http.Transport{
		Protocols: protocols(),
		HTTP2:     &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow, SendPingTimeout: time.Second},
	}
	c := &client{http: http.Client{Transport: transport}, base: "http://" + a.Host}
	if len(a.Certificate) > 0 {
		trusted, err := x509.ParseCertificate(a.Certificate)
		if err != nil {
			return nil, fmt.Errorf("the server's certificate: %w", err)
		}
		roots := x509.NewCertPool()
		roots.AddCert(trusted)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
		c.base = "https://" + a.Host
	}
	return c, nil
}

// round is one time through all that the server can do, in some 4 s.
func (c *client) round(ctx context.Context, n int) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	together := func(steps ...func(context.Context) error) {
		for _, step := range steps {
			all.Go(func() {
				if err := step(ctx); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = errors.Join(failed, err)
				}
			})
		}
	}
	together(c.watch) // goes on beside the others
	pause(ctx, 50*time.Millisecond)
	together(c.get("/"), c.get("/style.css"), c.get("/photo.jpg"))
	pause(ctx, 400*time.Millisecond)
	together(c.order(n), c.get("/missing"), c.cancelled)
	pause(ctx, 500*time.Millisecond)
	together(c.upload, c.stalled)
	pause(ctx, 900*time.Millisecond)
	all.Wait()
	if pause(ctx, 1200*time.Millisecond) { // idle: the client asks by PING
		together(c.get("/goodbye"))
	}
	all.Wait()
	return failed
}

// do makes a request and hands over the response, which it closes.
func (c *client) do(ctx context.Context, method, path, kind string, body io.Reader, take func(*http.Response) error) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "h2sniff-demo")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if kind == "application/grpc" {
		r.Header.Set("TE", "trailers")
	}
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return take(response)
}

func readAll(r *http.Response) error {
	_, err := io.Copy(io.Discard, r.Body)
	return err
}

func (c *client) get(path string) func(context.Context) error {
	return func(ctx context.Context) error { return c.do(ctx, "GET", path, "", nil, readAll) }
}

func (c *client) order(n int) func(context.Context) error {
	return func(ctx context.Context) error {
		body := fmt.Sprintf(`{"id":%d,"item":"coffee","count":2}`, n)
		return c.do(ctx, "POST", "/api/orders", "application/json", strings.NewReader(body), readAll)
	}
}

func (c *client) upload(ctx context.Context) error {
	body := bytes.NewReader(bytes.Repeat([]byte("0123456789abcdef"), 10_000))
	return c.do(ctx, "PUT", "/upload", "application/octet-stream", body, readAll)
}

func (c *client) watch(ctx context.Context) error {
	return c.do(ctx, "POST", "/demo.Ticker/Watch", "application/grpc", bytes.NewReader(grpcMessage(ticks, "begin")), readAll)
}

// cancelled leaves a stream that would go on: RST_STREAM with CANCEL.
func (c *client) cancelled(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return c.do(ctx, "GET", "/events", "", nil, func(r *http.Response) error {
		_, err := io.CopyN(io.Discard, r.Body, 80)
		return err
	})
}

// stalled reads the beginning of a long response, and the rest after a while,
// in which the server has used up the stream's window.
func (c *client) stalled(ctx context.Context) error {
	return c.do(ctx, "GET", "/export.csv", "", nil, func(r *http.Response) error {
		if _, err := io.CopyN(io.Discard, r.Body, 1000); err != nil {
			return err
		}
		pause(ctx, 800*time.Millisecond)
		return readAll(r)
	})
}
