// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// slowDownload gets a file of a server on a socket with little room, of which
// it reads nothing until blocked has returned. It gives all octets that the
// server sent until the end of the stream.
func slowDownload(t testing.TB, server *server, path string, blocked func()) []byte {
	t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10)
		}); e != nil {
			return e
		}
		return err
	}}
	conn, err := tls.DialWithDialer(&dialer, "tcp", server.addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(timeout))
	w := newWire()
	w.preface(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	w.WriteWindowUpdate(0, 1<<30)
	w.headers(1, true, get(path)...)
	if _, err := conn.Write(w.take()); err != nil {
		t.Fatal(err)
	}
	blocked()
	var received bytes.Buffer
	framer := http2.NewFramer(io.Discard, io.TeeReader(conn, &received))
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %d octets: %v", received.Len(), err)
		}
		if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
			return received.Bytes()
		}
	}
}
