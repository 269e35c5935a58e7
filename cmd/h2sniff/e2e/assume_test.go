// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
)

// TestAssumeH2: a connection is found in the middle of a DATA frame that holds
// an HTTP/1.1 request. --assume-h2 overrules what that looks like.
func TestAssumeH2(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.pcapng")
	var frames bytes.Buffer
	fr := http2.NewFramer(&frames, nil)
	for i := range 3 {
		if err := fr.WritePing(false, [8]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	writeRecording(t, path, func(write func(*capture.Event)) {
		write(&capture.Event{Kind: capture.Open, Conn: 1, Time: 1, Info: &capture.ConnInfo{PID: 7, Comm: "proxy"}})
		request := []byte("GET / HTTP/1.1\r\n\r\n")
		pos := uint64(0)
		for i, data := range [][]byte{request, frames.Bytes()} {
			write(&capture.Event{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Time: int64(i + 2), Offset: pos, Length: uint64(len(data)), Data: data})
			pos += uint64(len(data))
		}
		write(&capture.Event{Kind: capture.Close, Conn: 1, Time: 9})
	})
	for _, c := range []struct {
		args   []string
		frames int
	}{{nil, 0}, {[]string{"--assume-h2"}, 3}} {
		out, err := exec.Command(h2sniff, append([]string{"dump", "--format", "plain", "-r", path}, c.args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(out, []byte(" PING frame ")); n != c.frames {
			t.Errorf("%v: %d frames, want %d:\n%s", c.args, n, c.frames, out)
		}
	}
}
