// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority writes the certificate of an authority, and one for localhost that
// it has signed: browsers do not take the authority's own.
func authority(t testing.TB, dir string) (ca, cert, key string) {
	t.Helper()
	ca, cert, key = filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	template := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		}
	}
	write := func(path, kind string, der []byte, err error) {
		t.Helper()
		if err == nil {
			err = os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root, leaf := template(1, "h2sniff test"), template(2, "localhost")
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	leaf.DNSNames, leaf.ExtKeyUsage = []string{"localhost"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &caKey.PublicKey, caKey)
	write(ca, "CERTIFICATE", der, err)
	der, err = x509.CreateCertificate(rand.Reader, leaf, root, &leafKey.PublicKey, caKey)
	write(cert, "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(leafKey)
	write(key, "PRIVATE KEY", der, err)
	return ca, cert, key
}

// browserPreferences keep Firefox from asking anything of the network: every
// name is that of this machine.
const browserPreferences = `
user_pref("network.dns.forceResolve", "127.0.0.1");
user_pref("network.dns.disablePrefetch", true);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.proxy.type", 0);
user_pref("services.settings.server", "http://127.0.0.1:9/");
user_pref("app.normandy.enabled", false);
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.enabled", false);
`

// firefox is a browser without a screen, with a profile and a server of its own.
type firefox struct {
	server *server
	port   int // with a certificate that the browser trusts
	log    string
	cmd    func(args ...string) *exec.Cmd
}

func newFirefox(t testing.TB, page string) *firefox {
	t.Helper()
	needPrograms(t, "firefox-esr", "certutil")
	f := &firefox{port: freePort(t)}
	dir := sharedDir(t)
	ca, cert, key := authority(t, dir)
	f.log = filepath.Join(dir, "access")
	f.server = startNginx(t, 1, fmt.Sprintf(`} server {
		listen 127.0.0.1:%d ssl http2; ssl_certificate %s; ssl_certificate_key %s; root %s; default_type text/html;
		access_log %s; http2_max_concurrent_streams 100;`, f.port, cert, key, dir, f.log))
	f.server.dir = dir
	f.server.content(t, "index.html", []byte(page))
	f.server.file(t, "large", 300_000)
	profile := filepath.Join(t.TempDir(), "profile")
	if err := os.Mkdir(profile, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(browserPreferences), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "certutil", "-N", "--empty-password", "-d", "sql:"+profile)
	run(t, "certutil", "-A", "-n", "authority", "-t", "C,,", "-i", ca, "-d", "sql:"+profile)
	f.cmd = func(args ...string) *exec.Cmd {
		args = append(args, "firefox-esr", "--headless", "--no-remote", "--profile", profile)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
		return cmd
	}
	return f
}

func (f *firefox) url() string { return fmt.Sprintf("https://localhost:%d/", f.port) }

// requests gives the paths that the server was asked for.
func (f *firefox) requests(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile(f.log)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for line := range strings.Lines(string(b)) {
		if _, request, ok := strings.Cut(line, `"GET `); ok {
			path, _, _ := strings.Cut(request, " ")
			paths = append(paths, path)
		}
	}
	return paths
}

// otherEnd finds the connection at nginx's end of one of the browser's, whose
// addresses must be right.
func (f *firefox) otherEnd(t testing.TB, conn string, browser, nginx []row) string {
	t.Helper()
	var bound row
	for _, r := range browser {
		if r.Kind == "bind" && r.Conn == conn {
			bound = r
		}
	}
	if bound.Address != "exact" || bound.Remote != fmt.Sprintf("127.0.0.1:%d", f.port) {
		t.Errorf("%s: bound to %s %s (%s), the server's port is %d", conn, bound.Local, bound.Remote, bound.Address, f.port)
	}
	for _, r := range nginx {
		if r.Kind == "bind" && r.Remote == bound.Local {
			return r.Conn
		}
	}
	t.Errorf("%s: nginx knows no connection from %s", conn, bound.Local)
	return ""
}

// differ gives the first frame that two ends tell differently.
func differ(browser, nginx []logged) string {
	for i := range min(len(browser), len(nginx)) {
		g, w := browser[i], nginx[i]
		g.dir = w.dir
		if g.String() != w.String() || strings.Join(g.headers, "\n") != strings.Join(w.headers, "\n") {
			return fmt.Sprintf("frame %d:\nFirefox %v %q\nnginx   %v %q", i, g, g.headers, w, w.headers)
		}
	}
	return ""
}

// TestFirefox: Debian's Firefox, whose NSS is its own and whose NSPR is the
// system's, as nginx sees it at the other end.
func TestFirefox(t *testing.T) {
	needPrograms(t, "firefox-esr")
	t.Parallel()
	f := newFirefox(t, `<html><body><img src="/large?1"><script>
		fetch("/large?2", {headers: {"x-one": "1"}}).then(() => fetch("/missing")).then(() => fetch("/end"))
	</script></body></html>`)
	server := startSniff(t, "-p", strconv.Itoa(f.server.pid))
	args := []string{h2sniff, "dump", "--format", "json", "--"}
	cmd := f.cmd(args...)
	cmd.Args = append(cmd.Args, "--screenshot", filepath.Join(t.TempDir(), "shot.png"), f.url())
	browser := startSniffCommand(t, cmd)
	browser.wait()
	time.Sleep(50 * time.Millisecond) // more than the reader's deadline
	rows, nginx := browser.snapshot(), server.stop()
	wantFresh(t, rows, 1)
	wantClean(t, rows)
	wantExact(t, rows)
	paths := make(map[string]int)
	for _, conn := range conns(rows, "") {
		other := f.otherEnd(t, conn, rows, nginx)
		for _, dir := range []string{"send", "recv"} {
			got, want := fold(frames(rows, conn, dir)), fold(frames(nginx, other, reverse[dir]))
			if d := differ(got, want); d != "" {
				t.Errorf("%s %s %s", conn, dir, d)
			}
			// Either may leave before it has read what concerns the connection only.
			n := min(len(got), len(want))
			for _, f := range append(got[n:], want[n:]...) {
				if f.stream != 0 && f.typ != "WINDOW_UPDATE" {
					t.Errorf("%s %s: only one end tells of %v", conn, dir, f)
				}
			}
		}
		for _, r := range frames(rows, conn, "send") {
			for _, h := range r.Headers {
				if h.Name == ":path" {
					paths[h.Value]++
				}
			}
		}
	}
	for _, path := range append(f.requests(t), "/", "/large?1", "/large?2") {
		if paths[path] == 0 {
			t.Errorf("no request for %s", path)
		}
	}
	for _, r := range rows {
		if r.Kind == "open" && !strings.HasSuffix(r.Library, "/firefox-esr/libssl3.so") {
			t.Errorf("library %s", r.Library)
		}
	}
}

// TestFirefoxLate: a connection of Firefox that was open before h2sniff came.
func TestFirefoxLate(t *testing.T) {
	needPrograms(t, "firefox-esr")
	t.Parallel()
	f := newFirefox(t, `<html><body><script>
		let n = 0; setInterval(() => fetch("/tick?" + n++), 50)
	</script></body></html>`)
	cmd := f.cmd()
	cmd.Args = append(cmd.Args, f.url())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	waitUntil(t, "Firefox to ask", func() bool {
		_, err := os.Stat(f.log)
		return err == nil && len(f.requests(t)) > 5
	})
	browser := startSniff(t, "-p", strconv.Itoa(cmd.Process.Pid))
	server := startSniff(t, "-p", strconv.Itoa(f.server.pid))
	asked := func(rows []row) bool {
		return count(rows, func(r row) bool { return r.Type == "HEADERS" && r.Dir == "send" }) > 20
	}
	browser.waitFor("requests", asked)
	server.waitFor("responses", asked)
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	browser.wait()
	server.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") > 0 })
	rows, nginx := browser.snapshot(), server.stop()
	whole := 0
	for _, conn := range conns(rows, "") {
		other := f.otherEnd(t, conn, rows, nginx)
		for _, r := range frames(rows, conn, "send") {
			if r.Type != "HEADERS" {
				continue
			}
			// Streams that both have seen from their beginning to their end.
			var got, want [2][]logged
			for i, dir := range []string{"send", "recv"} {
				got[i] = fold(ofStream(frames(rows, conn, dir), r.Stream))
				want[i] = fold(ofStream(frames(nginx, other, reverse[dir]), r.Stream))
			}
			if len(want[0]) == 0 || len(got[1]) < 2 || len(got[1]) != len(want[1]) {
				continue
			}
			whole++
			for i := range got {
				for j := range got[i] { // what is unknown is not the same at both ends
					got[i][j].headers = nil
				}
				for j := range want[i] {
					want[i][j].headers = nil
				}
				if d := differ(got[i], want[i]); d != "" {
					t.Errorf("%s stream %d %s", conn, r.Stream, d)
				}
			}
		}
	}
	t.Logf("%d streams seen at both ends", whole)
	if whole < 10 {
		t.Errorf("%d streams seen at both ends", whole)
	}
}

func ofStream(rows []row, stream uint32) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.Stream != stream })
}
