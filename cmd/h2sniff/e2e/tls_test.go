// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// These tests cover the functions of the libraries that Debian 12 has: libssl 3,
// libgnutls 3.7, BoringSSL of Android 13, libwolfssl 5.5, libmbedtls 2.28, NSS 3.87. libssl
// 1.1 has the same functions as 3, but is not there to test with.

// everyKind adds frames of every type, in unusual shapes, and gives the header
// fields in them.
func everyKind(w *wire) []hpack.HeaderField {
	var all []hpack.HeaderField
	block := func(fields ...hpack.HeaderField) []byte {
		w.fields.Reset()
		for _, f := range fields {
			w.enc.WriteField(f)
		}
		all = append(all, fields...)
		return slices.Clone(w.fields.Bytes())
	}
	w.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: 0xabcd, Val: 1})
	w.WriteRawFrame(0x2a, 0xff, 77, []byte("a type that nobody knows\n\x00\xff"))
	w.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, EndHeaders: true, PadLength: 200,
		Priority:      http2.PriorityParam{StreamDep: 5, Exclusive: true, Weight: 99},
		BlockFragment: block(append(get("/one"), hpack.HeaderField{Name: "authorization", Value: "secret", Sensitive: true})...),
	})
	w.WriteData(1, false, nil)
	w.WriteDataPadded(1, false, []byte("padded"), make([]byte, 255))
	w.WriteRawFrame(http2.FrameData, 0, 1, content(16384))
	w.WriteData(1, true, []byte("the end"))
	long := block(append(get("/two"), hpack.HeaderField{Name: "x-long", Value: string(slices.Repeat([]byte("long"), 1000))})...)
	w.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: long[:1]})
	w.WriteContinuation(3, false, nil)
	w.WriteContinuation(3, false, long[1:100])
	w.WriteContinuation(3, true, long[100:])
	for range 20 { // through the dynamic table
		w.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, EndHeaders: true, BlockFragment: block(get("/two")...)})
		w.WriteData(5, false, content(5000))
	}
	w.WritePriority(5, http2.PriorityParam{StreamDep: 3, Weight: 1})
	w.WriteRSTStream(5, http2.ErrCode(0xbad))
	w.WriteRawFrame(0xa, 0, 0, []byte("\x00\x05a.exah2=\":443\""))
	w.WriteRawFrame(0xc, 0, 0, []byte("\x00\x11https://localhost"))
	w.WriteRawFrame(0x10, 0, 0, []byte("\x00\x00\x00\x05u=0"))
	w.WritePing(true, [8]byte{8, 7, 6, 5, 4, 3, 2, 1})
	w.WriteWindowUpdate(7, 1)
	w.WriteGoAway(7, http2.ErrCodeEnhanceYourCalm, []byte("calm"))
	w.WritePing(false, [8]byte{})
	return all
}

// wantFields wants the header fields of rows, flattened, to be these.
func wantFields(t testing.TB, rows []row, want []hpack.HeaderField) {
	t.Helper()
	var got []hpack.HeaderField
	for _, r := range rows {
		for _, h := range r.Headers {
			got = append(got, hpack.HeaderField{Name: h.Name, Value: h.Value, Sensitive: h.Sensitive})
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("header fields %v, want %v", got, want)
	}
}

// debianPython is the one that uses Debian's libssl.
const debianPython = "/usr/bin/python3"

// python starts a peer of Debian's Python.
func python(t testing.TB, transport string) *peer {
	t.Helper()
	needPrograms(t, debianPython)
	return startPeerCommand(t, exec.Command(debianPython, "testdata/peer.py", transport))
}

// TestTLSCalls: every function of the libraries gives each octet once, sent
// and received.
func TestTLSCalls(t *testing.T) {
	t.Parallel()
	c := func(program string) func(testing.TB, string) *peer {
		return func(t testing.TB, mode string) *peer { return startPeer(t, peerProgram(t, program)) }
	}
	for _, test := range []struct {
		name  string
		start func(t testing.TB, mode string) *peer
		mode  string
		identity
	}{
		{"SSL_write and SSL_read", c(opensslPeer), "plain", identity{comm: opensslPeer, library: libssl}},
		{"SSL_write_ex and SSL_read_ex", c(opensslPeer), "ex", identity{comm: opensslPeer, library: libssl}},
		{"SSL_peek", c(opensslPeer), "peek", identity{comm: opensslPeer, library: libssl}},
		{"Python's sockets", python, "socket", identity{comm: "python3", library: libssl}},
		{"Python's memory BIO", python, "memory", identity{comm: "python3", library: libssl}},
		{"gnutls_record_send and gnutls_record_recv", c(gnutlsPeer), "plain", identity{comm: gnutlsPeer, library: libgnutls}},
		{"gnutls_record_send2 with padding", c(gnutlsPeer), "padding", identity{comm: gnutlsPeer, library: libgnutls}},
		{"gnutls_record_send_range", c(gnutlsPeer), "range", identity{comm: gnutlsPeer, library: libgnutls}},
		{"gnutls_record_cork and gnutls_record_uncork", c(gnutlsPeer), "cork", identity{comm: gnutlsPeer, library: libgnutls}},
		{"gnutls_record_recv_seq", c(gnutlsPeer), "seq", identity{comm: gnutlsPeer, library: libgnutls}},
		{"BoringSSL", c(boringPeer), "plain", identity{comm: boringPeer, library: "libssl.so.0"}},
		{"BoringSSL's SSL_peek", c(boringPeer), "peek", identity{comm: boringPeer, library: "libssl.so.0"}},
		{"wolfSSL_write and wolfSSL_read", c(wolfsslPeer), "plain", identity{comm: wolfsslPeer, library: "libwolfssl.so"}},
		{"wolfSSL_send and wolfSSL_recv", c(wolfsslPeer), "flags", identity{comm: wolfsslPeer, library: "libwolfssl.so"}},
		{"wolfSSL_writev and wolfSSL_peek", c(wolfsslPeer), "vec", identity{comm: wolfsslPeer, library: "libwolfssl.so"}},
		{"PR_Write and PR_Read", c(nssPeer), "plain", identity{comm: nssPeer, library: "libssl3.so"}},
		{"PR_Send and PR_Recv", c(nssPeer), "flags", identity{comm: nssPeer, library: "libssl3.so"}},
		{"PR_Writev and PR_MSG_PEEK", c(nssPeer), "vec", identity{comm: nssPeer, library: "libssl3.so"}},
		{"mbedtls_ssl_write and mbedtls_ssl_read", c(mbedtlsPeer), "plain", identity{comm: mbedtlsPeer, library: "libmbedtls.so"}},
		{"gnutls_record_recv_packet", c(gnutlsPeer), "packet", identity{comm: gnutlsPeer, library: libgnutls}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			from := time.Now()
			p := test.start(t, test.mode)
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
			conn := listen(t).connect(p, "open")
			if test.comm != "python3" {
				p.do("mode %s", test.mode)
			}
			up, down := newWire(), newWire()
			up.preface()
			sentFields, receivedFields := everyKind(up), everyKind(down)
			sent, received := up.take(), down.take()
			conn.take(p, sent, 1, 30, 9, 1000, 7, 16000)
			conn.send(p, received)
			p.do("close")
			p.end()
			rows := s.stop()
			wantFresh(t, rows, 1)
			wantClean(t, rows)
			wantExact(t, rows)
			for _, want := range []struct {
				dir    string
				octets []byte
				fields []hpack.HeaderField
			}{{"send", sent, sentFields}, {"recv", received, receivedFields}} {
				wantFrames(t, frames(rows, "", want.dir), wireFrames(t, want.octets))
				wantFields(t, frames(rows, "", want.dir), want.fields)
			}
			test.role, test.pids = "client", []int{p.pid}
			wantIdentity(t, rows, test.identity)
			wantTimes(t, rows, from, time.Now())
			wantSeq(t, rows)
			wantSummary(t, s.errors(), rows)
		})
	}
}

// TestPythonServer: SSL_accept, SSL_read_ex, SSL_write_ex.
func TestPythonServer(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"socket", "memory"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			p := python(t, transport)
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
			cert, key := certificate(t, t.TempDir())
			port := p.do("accept %s %s", cert, key)
			dialed, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			p.answer()
			conn := &farConn{t: t, Conn: dialed}
			defer conn.Close()
			up, down := newWire(), newWire()
			up.preface()
			receivedFields, sentFields := everyKind(up), everyKind(down)
			received, sent := up.take(), down.take()
			conn.send(p, received)
			conn.take(p, sent, 1, 10, 200, 30000)
			p.do("close")
			p.end()
			rows := s.stop()
			wantClean(t, rows)
			wantFrames(t, frames(rows, "", "recv"), wireFrames(t, received))
			wantFields(t, frames(rows, "", "recv"), receivedFields)
			wantFrames(t, frames(rows, "", "send"), wireFrames(t, sent))
			wantFields(t, frames(rows, "", "send"), sentFields)
			wantIdentity(t, rows, identity{comm: "python3", role: "server", pids: []int{p.pid}, library: libssl})
		})
	}
}

// TestRetriedGnuTLSCalls: octets that GnuTLS kept when the socket was full, and
// sent later in other ways than gnutls_record_send.
func TestRetriedGnuTLSCalls(t *testing.T) {
	t.Parallel()
	// gnutls_record_send_range is not among them: it does not return before all is sent.
	for _, mode := range []string{"padding", "cork"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			wantRetriedWhole(t, gnutlsPeer, mode, func(*wire) {})
		})
	}
}
