// SPDX-License-Identifier: Apache-2.0

package content

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
)

// startNginx runs nginx with cleartext HTTP/2 and gzip and gives its address
// and document root.
func startNginx(t *testing.T) (addr, root string) {
	t.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx"
		_, err = os.Stat(path)
	}
	need(t, "nginx", err == nil)
	_, err = exec.LookPath("curl")
	need(t, "curl", err == nil)
	dir, err := os.MkdirTemp("", "h2sniff-content")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for free := false; !free; { // a port that the kernel gives to nobody by itself
		addr = fmt.Sprintf("127.0.0.1:%d", 2000+rand.IntN(7000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			free = true
		}
	}
	conf := filepath.Join(dir, "nginx.conf")
	config := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
	access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f;
	uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	types { application/json json; text/html html; }
	gzip on; gzip_types application/json; gzip_min_length 1;
	server { listen %[2]s http2; root %[1]s; gzip off;
		location = /list.json { gzip on; }
		location ~ \.(br|zstd|deflate)$ { default_type application/json; add_header content-encoding $1; }
	}
}
`, dir, addr)
	if err := os.WriteFile(conf, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-p", dir, "-c", conf)
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 3000 { // a minute
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return addr, dir
		}
		time.Sleep(20 * time.Millisecond)
	}
	cmd.Process.Kill()
	cmd.Wait()
	t.Fatalf("nginx does not answer: %s", out.String())
	return
}

// Codings that curl undoes itself give the same here.
func TestCurlCodings(t *testing.T) {
	addr, root := startNginx(t)
	version, err := exec.Command("curl", "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := prose(200_000)
	for coding, feature := range map[string]string{"br": "brotli", "zstd": "zstd", "deflate": "zlib"} {
		need(t, "curl with "+coding, strings.Contains(string(version), feature))
		if err := os.WriteFile(filepath.Join(root, "doc."+coding), encoded(t, coding, text), 0o644); err != nil {
			t.Fatal(err)
		}
		c := collect(Limits{})
		tp := startTap(t, addr, c.row)
		got, err := exec.Command("curl", "-sS", "--compressed", "--http2-prior-knowledge", "http://"+tp.Addr().String()+"/doc."+coding).CombinedOutput()
		if err != nil || string(got) != string(text) {
			t.Fatalf("curl: %v, %d octets: %.100s", err, len(got), got)
		}
		tp.wg.Wait()
		c.Flush()
		m := c.exchanges[0].Message(capture.Send)
		if value, _ := Lookup(m.Response, "content-encoding"); value != coding {
			t.Fatalf("content-encoding %q", value)
		}
		if b, problem := Decoded(m, Limits{}); problem != "" || string(b.Data) != string(text) || !b.whole() {
			t.Errorf("%s: %d octets, %q, %q", coding, len(b.Data), problem, b.Problem())
		}
	}
}

// What curl decompresses and what is described are the same.
func TestNginxGzip(t *testing.T) {
	addr, root := startNginx(t)
	type item struct{ Name, Text string }
	var items []item
	for i := range 2000 {
		items = append(items, item{fmt.Sprintf("item %d", i), strings.Repeat("äöü", i%7)})
	}
	doc, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "list.json"), doc, 0o644); err != nil {
		t.Fatal(err)
	}
	c := collect(Limits{})
	tp := startTap(t, addr, c.row)
	got, err := exec.Command("curl", "-sS", "--compressed", "--http2-prior-knowledge", "http://"+tp.Addr().String()+"/list.json").CombinedOutput()
	if err != nil || string(got) != string(doc) {
		t.Fatalf("curl: %v, %d octets", err, len(got))
	}
	tp.wg.Wait()
	c.Flush()
	if len(c.exchanges) != 1 {
		t.Fatalf("%d exchanges", len(c.exchanges))
	}
	x := c.exchanges[0]
	if !x.Complete() || x.RequestDirection() != capture.Recv {
		t.Errorf("complete=%v, request direction %v", x.Complete(), x.RequestDirection())
	}
	m := x.Message(capture.Send)
	if encoding, _ := Lookup(m.Response, "content-encoding"); encoding != "gzip" {
		t.Fatalf("nginx sent content-encoding %q", encoding)
	}
	b, problem := Decoded(m, Limits{})
	if problem != "" || string(b.Data) != string(doc) || !b.Ended {
		t.Fatalf("decoded %d octets of %d, %q", len(b.Data), len(doc), problem)
	}
	part := Describe(m, Options{})
	if len(part.Problems) > 0 {
		t.Errorf("problems: %q", part.Problems)
	}
	j := find(part, KindJSON)
	if j == nil {
		t.Fatalf("no JSON in %s", AppendText(nil, "", part))
	}
	var again []item
	if err := json.Unmarshal([]byte(j.Text), &again); err != nil || len(again) != len(items) || again[1999] != items[1999] {
		t.Errorf("laid out it is not the same JSON: %v", err)
	}
	if !strings.HasPrefix(j.Text, "[\n  {\n    \"Name\": \"item 0\",\n") {
		t.Errorf("layout: %.60q", j.Text)
	}
}
