// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"testing"
)

// otherServer answers whatever it is sent with the octets of its second argument,
// in hexadecimal, each in a call of its own if there is a third.
const otherServer = `
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
answer = bytes.fromhex(sys.argv[2])
while True:
    peer, _ = listener.accept()
    try:
        peer.recv(65536)
        for i in range(len(answer)) if len(sys.argv) > 3 else [slice(None)]:
            peer.sendall(answer[i:i + 1] if len(sys.argv) > 3 else answer)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(65536):
            pass
    except OSError:
        pass
    peer.close()
`

// TestPriorKnowledgeRefused: a server without HTTP/2 answers a client that begins
// with it. Both ends say what the answer is, show what the client sends, and make
// no frame of the rest.
func TestPriorKnowledgeRefused(t *testing.T) {
	needPrograms(t, "curl", debianPython)
	t.Parallel()
	status := hex.EncodeToString([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nno.\n"))
	for _, c := range []struct {
		name, protocol string
		args           []string // of the server, behind its port
	}{
		{"HTTP/1.1", "HTTP/1.1", []string{"-c", otherServer, "PORT", status}},
		{"HTTP/1.1 octet by octet", "HTTP/1.1", []string{"-c", otherServer, "PORT", status, "apart"}},
		{"TLS alert", "TLS", []string{"-c", otherServer, "PORT", "15030300020246"}},
		{"http.server", "not HTTP", []string{"-m", "http.server", "--bind", "127.0.0.1", "PORT"}}, // as to HTTP/0.9
	} {
		t.Run(c.name, func(t *testing.T) {
			server := &server{port: freePort(t), dir: t.TempDir()}
			args := append([]string(nil), c.args...)
			for i := range args {
				if args[i] == "PORT" {
					args[i] = strconv.Itoa(server.port)
				}
			}
			server.pid = startServer(t, server.addr(), debianPython, args...)
			s := startSniff(t, "-p", strconv.Itoa(server.pid))
			client := startSniff(t, "--", "curl", "-sS", "--http2-prior-knowledge", "-m", "20", "-o", "/dev/null", server.plainURL("/"))
			client.wait()
			s.waitFor("the connection to close", closed(1))
			wantRefused(t, client.snapshot(), "send", "recv", c.protocol)
			wantRefused(t, s.stop(), "recv", "send", c.protocol)
		})
	}
}

// wantRefused wants whole frames of the client alone, and one row on the server's
// protocol.
func wantRefused(t testing.TB, rows []row, client, server, protocol string) {
	t.Helper()
	var told []string
	for _, r := range rows {
		switch r.Kind {
		case "protocol":
			told = append(told, r.Dir+" "+r.Protocol)
		case "gap":
			t.Errorf("a gap of %d octets %s (%s)", r.Bytes, r.Reason, r.Dir)
		case "frame":
			if r.Dir != client || r.Error != nil {
				t.Errorf("a frame that is none: %s %s, %d octets, %v", r.Dir, r.Type, r.Length, r.Error)
			}
		}
	}
	if want := server + " " + protocol; fmt.Sprint(told) != fmt.Sprint([]string{want}) {
		t.Errorf("%q is told of the protocol, want %q", told, want)
	}
	if sent := frames(rows, "", client); len(sent) < 2 || sent[0].Type != "SETTINGS" {
		t.Errorf("%d frames of the client", len(sent))
	}
}
