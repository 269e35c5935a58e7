// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Serve answers the client until in ends or ctx does. Its first line on out
// tells where.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	a := &address{Host: l.Addr().String()}
	server := &http.Server{
		Handler: routes(), Protocols: protocols(),
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
	}
	if withTLS {
		own, err := identity()
		if err != nil {
			l.Close()
			return fmt.Errorf("making a certificate: %w", err)
		}
		a.Certificate = own.Certificate[0]
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{own}}
	}
	if err := a.tell(out); err != nil {
		l.Close()
		return fmt.Errorf("telling the address: %w", err)
	}
	ctx, cancel := untilEnd(ctx, in)
	defer cancel()
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if withTLS {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// untilEnd ends ctx at the end of in, and the process if that does not.
func untilEnd(ctx context.Context, in io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
		time.Sleep(grace)
		os.Exit(1)
	}()
	return ctx, cancel
}

const (
	photoOctets  = 24_000
	exportOctets = 350_000
)

func routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("GET /style.css", content("text/css", bytes.Repeat([]byte("p { margin: 0 }\n"), 150)))
	mux.HandleFunc("GET /photo.jpg", content("image/jpeg", bytes.Repeat([]byte{0xff, 0xd8, 0x5a, 0xa5}, photoOctets/4)))
	mux.HandleFunc("GET /export.csv", content("text/csv", bytes.Repeat([]byte("2026,11,25,42\n"), exportOctets/14)))
	mux.HandleFunc("POST /api/orders", order)
	mux.HandleFunc("PUT /upload", upload)
	mux.HandleFunc("GET /events", events)
	mux.HandleFunc("POST /demo.Ticker/Watch", watch)
	mux.HandleFunc("GET /goodbye", goodbye)
	return mux
}

// page comes with an interim response (RFC 8297) before it.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload; as=style")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	io.WriteString(w, "<!doctype html><link rel=stylesheet href=style.css><img src=photo.jpg>\n")
}

func content(kind string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}
}

func order(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"accepted":true,"order":%s}`, body)
}

func upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	fmt.Fprintf(w, "%d octets\n", n)
}

// events goes on until the client has enough.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for i := 1; ; i++ {
		fmt.Fprintf(w, "id: %d\ndata: {\"load\":%d}\n\n", i, 20+i*7%60)
		if flush.Flush() != nil || !pause(r.Context(), 90*time.Millisecond) {
			return
		}
	}
}

const ticks = 8

// watch streams small messages as gRPC does, with the status in the trailers.
func watch(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
	flush := http.NewResponseController(w)
	for i := range ticks {
		w.Write(grpcMessage(i+1, "tick"))
		if flush.Flush() != nil || !pause(r.Context(), 150*time.Millisecond) {
			return
		}
	}
	w.Header().Set("Grpc-Status", "0")
	w.Header().Set("Grpc-Message", "")
}

// grpcMessage is a length-prefixed message { uint32 n = 1; string text = 2; }.
func grpcMessage(n int, text string) []byte {
	message := binary.AppendUvarint([]byte{1 << 3}, uint64(n))
	message = append(message, 2<<3|2, byte(len(text)))
	message = append(message, text...)
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
}

// goodbye makes the server take no more requests on the connection: it sends
// GOAWAY, and the client opens another.
func goodbye(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "close")
	io.WriteString(w, "see you on another connection\n")
}

// pause reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
