// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// Secrets of a session. They are long, so that they are in nothing by chance.
const (
	secretToken   = "Zq7Lw2Xr9Tb4Vn8Kp3Md6Hs1Jf5Gc0Ya"
	secretCookie  = "cR4xUe8zQw1LmN6tYo3PiB7vDk2SjF9h"
	secretQuery   = "hT5nBv3Wq9XzLr2Km7Pd4Fj8Gs6Ya1Uc"
	secretKey     = "w8Jb2Nq6Vt0Rx4Lz9Ph3Md7Fk1Gs5Yc"
	secretSet     = "Ue3Wn7Bz1Kq5Xr9Tm2Vp6Lh0Jd4Gf8Sa"
	secretBody    = "y6Dk0Rw4Zn8Qb2Vx6Tm1Lp5Hj9Fs3Gc"
	secretReply   = "g2Xm6Tq0Lz4Nr8Vb1Kw5Pd9Hj3Fs7Yc"
	secretAddress = "Ba1Vn5Xq9Zr3Lw7Tm0Kp4Hd8Jf2Gs6Yu"
)

// needles are the forms in which a secret could be in a file, at every
// alignment, less their ends.
func needles(secret string) [][]byte {
	out := [][]byte{[]byte(secret)[1 : len(secret)-1]}
	for i := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte("xx"[:i] + secret))
		out = append(out, []byte(b[4:len(b)-4]))
	}
	code := hpack.AppendHuffmanString(nil, secret)
	for shift := range 8 {
		var b []byte
		for i := 1; i+2 < len(code); i++ {
			b = append(b, code[i]<<shift|code[i+1]>>(8-shift))
		}
		out = append(out, b, []byte(fmt.Sprintf("%x", b)))
	}
	return out
}

// secretsIn gives the secrets that are in a text or file in some form.
func secretsIn(b []byte) []string {
	var found []string
	for _, secret := range []string{secretToken, secretCookie, secretQuery, secretKey, secretSet, secretBody, secretReply, secretAddress} {
		b64 := []byte(nil)
		if decoded, err := base64.StdEncoding.DecodeString(string(b)); err == nil {
			b64 = decoded
		}
		if slices.ContainsFunc(needles(secret), func(n []byte) bool { return bytes.Contains(b, n) || bytes.Contains(b64, n) }) {
			found = append(found, secret)
		}
	}
	return found
}

// TestRedact: with --redact no secret is in anything that h2sniff writes or
// shows, live or from a recording, and everything else is as it was.
func TestRedact(t *testing.T) {
	needPrograms(t, "curl", "tmux")
	nginx := startNginx(t, 1, fmt.Sprintf(`location /redact {
		add_header set-cookie "sid=%s; Secure";
		add_header location "https://example.org/?state=%s";
		return 200 "reply %s";
	}`, secretSet, secretAddress, secretReply))
	dir := sharedDir(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	redact := []string{"--redact", "--redact-field", "X-Api-Key"}
	pid := strconv.Itoa(nginx.pid)
	with := func(args ...string) *sniff {
		t.Helper()
		return startSniffCommand(t, exec.Command(h2sniff, slices.Concat(args, []string{"-p", pid})...))
	}
	whole := with("record", "--headers-only=false", "-w", file("whole.pcapng"))
	live := with(append([]string{"record", "-w", file("live.pcapng")}, redact...)...)
	shown := startSniff(t, append(slices.Clone(redact), "--body", "--verbose", "-w", file("teed.pcapng"), "-p", pid)...)
	headers := startSniff(t, "--headers-only=false", "--redact=headers", "--redact-field", "x-api-key", "--body", "-p", pid)
	screen := startScreen(t, 160, 50)
	screen.keys(h2sniff+" "+strings.Join(redact, " ")+" -p "+pid, "Enter")
	screen.waitFor("LIVE", "FOLLOW", "OpenSSL")

	target := nginx.url("/redact?user=bob&token=" + secretQuery)
	run(t, "curl", "-sk", "--http2", "-H", "authorization: Bearer "+secretToken, "-H", "cookie: id="+secretCookie,
		"-H", "x-api-key: "+secretKey, "-H", "x-plain: shown", "-d", "body="+secretBody, target, target)
	for _, s := range []*sniff{shown, headers} {
		s.waitFor("the connection to close", closed(1))
	}
	screen.waitFor("closed")
	rows := shown.stop()
	kept := headers.stop()
	live.stop()
	whole.stop()

	// The secrets are there without --redact.
	if found := secretsIn(read("whole.pcapng")); len(found) != 8 {
		t.Fatalf("only %q are in the traffic", found)
	}
	if !bytes.Equal(body(kept, "recv", 1), []byte("body="+secretBody)) {
		t.Errorf("with --redact=headers the body is %q", body(kept, "recv", 1))
	}

	outputs := map[string][]byte{"record": read("live.pcapng"), "-w": read("teed.pcapng")}
	for _, from := range []string{"whole", "live"} {
		for name, args := range map[string][]string{
			"text":    {"dump", "--format", "text", "--content", "--body"},
			"plain":   {"dump", "--format", "plain"},
			"json":    {"dump", "--format", "json", "--body", "--verbose"},
			"har":     {"export", "--format", "har", "-w", "-"},
			"lines":   {"export", "--format", "json", "-w", "-"},
			"pcapng":  {"export", "--format", "pcapng", "-w", "-"},
			"default": {},
		} {
			args = slices.Concat(args, []string{"-r", file(from + ".pcapng")})
			if from == "whole" {
				args = slices.Concat(args, redact)
			}
			outputs[from+" "+name] = []byte(run(t, h2sniff, args...))
		}
	}
	screen.keys("3", "g")
	for i := 1; i <= len(rows); i++ {
		screen.waitFor(fmt.Sprintf("Detail #%d ", i))
		outputs["screen"] = append(outputs["screen"], screen.content()...)
		screen.keys("Down")
	}
	if !bytes.Contains(outputs["screen"], []byte("x-plain")) {
		t.Errorf("the screen never showed the fields:\n%s", screen.content())
	}
	screen.keys("q")
	screen.waitForShell()
	for name, b := range outputs {
		if len(b) < 1000 {
			t.Errorf("%s: only %d octets: %s", name, len(b), b)
		}
		if found := secretsIn(b); found != nil {
			t.Errorf("%s: %q", name, found)
		}
	}

	// All else is the same, live and from the recordings.
	wantRedacted(t, "live", rows, dumpRecording(t, file("whole.pcapng")))
	wantRedacted(t, "recorded", dumpRecording(t, file("live.pcapng")), dumpRecording(t, file("whole.pcapng")))
}

// wantRedacted wants the frames and fields of whole in rows, less the secrets.
func wantRedacted(t *testing.T, what string, rows, whole []row) {
	t.Helper()
	for _, dir := range []string{"send", "recv"} {
		got, want := frames(rows, "", dir), frames(whole, "", dir)
		if len(got) != len(want) || len(got) < 7 {
			t.Fatalf("%s: %d frames, want %d", what, len(got), len(want))
		}
		for i := range got {
			g, w := got[i], want[i]
			if g.Type != w.Type || g.Length != w.Length || g.Stream != w.Stream || len(g.Headers) != len(w.Headers) {
				t.Fatalf("%s: frame %+v, want %+v", what, g, w)
			}
			for j := range g.Headers {
				a, b := g.Headers[j], w.Headers[j]
				if a.Name != b.Name || len(a.Value) != len(b.Value) || secretsIn([]byte(b.Value)) == nil && a.Value != b.Value {
					t.Errorf("%s: %s: %s, want %s: %s", what, a.Name, a.Value, b.Name, b.Value)
				}
				if a.Name == ":path" && !strings.HasPrefix(a.Value, "/redact?user=") {
					t.Errorf("%s: %s", what, a.Value)
				}
			}
		}
	}
}
