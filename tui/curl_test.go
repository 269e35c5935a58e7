// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/content"

	"pgregory.net/rapid"
)

// askedFor is an exchange with these fields and this body.
func askedFor(body string, nv ...string) *content.Exchange {
	x := &content.Exchange{Role: capture.Client}
	for i := 0; i < len(nv); i += 2 {
		x.Sides[0].Fields = append(x.Sides[0].Fields, decode.Field{Name: nv[i], Value: nv[i+1], NameKnown: true, ValueKnown: true})
	}
	x.Sides[0].Seen = true
	x.Sides[0].Body = content.Body{Data: []byte(body), Octets: uint64(len(body)), Ended: true}
	return x
}

func nothingMasked(*decode.Field) bool { return false }

func TestCurlCommand(t *testing.T) {
	x := askedFor(`{"n":1}`, ":method", "POST", ":scheme", "https", ":authority", "a.example", ":path", "/v1?x=[1]",
		"content-type", "application/json", "user-agent", "it's", "accept", "*/*", "cookie", "a=1", "cookie", "b=2",
		"content-length", "7", "x-empty", "", "authorization", "Bearer s")
	got, notes, err := curlCommand(x, isSecret)
	want := `curl --http2 \
  --globoff \
  --path-as-is \
  -X 'POST' \
  'https://a.example/v1?x=[1]' \
  -H 'content-type: application/json' \
  -H 'user-agent: it'\''s' \
  -H 'accept: */*' \
  -H 'x-empty;' \
  --data-raw '{"n":1}'`
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
	if !slices.Equal(notes, []string{"3 fields left out (masked, * shows)"}) {
		t.Errorf("%q", notes)
	}
	got, notes, _ = curlCommand(x, nothingMasked)
	if !strings.Contains(got, `-H 'cookie: a=1; b=2'`) || !strings.Contains(got, `'authorization: Bearer s'`) || len(notes) > 0 {
		t.Errorf("%q\n%s", notes, got)
	}
	x = askedFor(strings.Repeat("x", maxCurlBody+1), ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/")
	got, notes, _ = curlCommand(x, nothingMasked)
	if first, rest, _ := strings.Cut(got, "\n"); first != "# body of 64K left out: w writes it" || !strings.HasPrefix(rest, "curl ") || len(notes) != 1 {
		t.Errorf("a large body: %q\n%s", notes, got)
	}
	x = askedFor("", ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	if got, _, _ = curlCommand(x, nothingMasked); !strings.HasSuffix(got, "-H 'user-agent:' \\\n  -H 'accept:'") {
		t.Errorf("without a body:\n%s", got)
	}
	x.Sides[0].Body = content.Body{Data: []byte("a=1"), Octets: 3, Ended: true}
	if got, _, _ = curlCommand(x, nothingMasked); !strings.Contains(got, "-H 'content-type:' ") {
		t.Errorf("with a body of no type:\n%s", got)
	}
	x.Sides[0].Fields = nil
	if _, _, err := curlCommand(x, nothingMasked); err == nil {
		t.Error("a command without a request")
	}
}

// shellArguments runs a command with a curl that tells its arguments and its
// input.
func shellArguments(t interface{ Fatal(...any) }, dir, command string) (args []string, input string) {
	cmd := exec.Command("sh")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=" + dir}
	cmd.Stdin = strings.NewReader(command + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out), command)
	}
	list, input, _ := strings.Cut(string(out), "\x00input\x00")
	args = strings.Split(list, "\x00")
	return args[:len(args)-1], input
}

// fakeCurl is a folder with a curl that writes each argument and a NUL, then
// what it is given with --data-binary @-.
func fakeCurl(t *testing.T) string {
	dir := t.TempDir()
	script := "#!/bin/sh\nlast=\nfor a; do printf '%s\\000' \"$a\"; last=$a; done\nprintf '\\000input\\000'\n[ \"$last\" = @- ] && cat\nexit 0\n"
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checkCurl fails unless a shell hands curl exactly what the request says, and
// unless the command is harmless where it is shown and pasted.
func checkCurl(t *rapid.T, dir string, x *content.Exchange) {
	command, _, err := curlCommand(x, nothingMasked)
	if err != nil {
		return
	}
	for _, r := range command {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%U in %q", r, command)
		}
	}
	args, input := shellArguments(t, dir, command)
	value := func(name string) string { v, _ := content.Lookup(x.Sides[0].Fields, name); return v }
	at := slices.Index(args, "https://"+value(":authority")+value(":path"))
	if at < 0 {
		t.Fatalf("no URL in %q", args)
	}
	want := []string{}
	for _, f := range x.Sides[0].Fields {
		switch {
		case f.Name[:1] == ":" || strings.ContainsAny(f.Value, "\x00\r\n"):
		case f.Value == "":
			want = append(want, "-H", f.Name+";")
		default:
			want = append(want, "-H", f.Name+": "+f.Value)
		}
	}
	got := args[at+1:]
	if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
		t.Fatalf("arguments %q\nwant %q\nof\n%s", got, want, command)
	}
	body := string(x.Sides[0].Body.Data)
	switch {
	case body == "":
	case got[len(got)-2] == "--data-raw":
		input = got[len(got)-1]
		fallthrough
	default:
		if input != body {
			t.Fatalf("body %q\nwant %q", input, body)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
		t.Fatalf("the command made files: %q", files)
	}
}

// Whatever a peer put into a request, a shell that runs the command does
// nothing but hand it to curl.
func TestCurlIsSafe(t *testing.T) {
	dir := fakeCurl(t)
	nasty := []string{"'", `'\''`, "`touch a`", "$(touch a)", "; touch a #", "\\", `\`, "%s%n%", "!x", "-", "@/etc/passwd", "\x1b[201~\rtouch a\r",
		"\u202e", "\x9b", "é漢", "\"", "$HOME", "{a,b}", "[1-9]", "~", "&", "|", "\t", "a b", "\xff", "\u0000"}
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(nasty), rapid.String()), 0, 4).Draw(t, "parts"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		nv := []string{":method", "POST", ":scheme", "https", ":authority", text.Draw(t, "authority"), ":path", text.Draw(t, "path"),
			"user-agent", text.Draw(t, "agent"), "x-" + rapid.StringMatching("[a-z'`!#$%&*+.^_|~-]*").Draw(t, "name"), text.Draw(t, "value")}
		checkCurl(t, dir, askedFor(text.Draw(t, "body"), nv...))
	})
}

func FuzzCurl(f *testing.F) {
	f.Add("a.example", "/x", "v", "body")
	f.Add("'", "$(touch a)", "\x1b[201~", "-n%s\x00")
	dir := ""
	f.Fuzz(func(t *testing.T, authority, path, value, body string) {
		if dir == "" {
			d, err := os.MkdirTemp("", "curl")
			if err != nil {
				t.Fatal(err)
			}
			dir = d
			script := "#!/bin/sh\nfor a; do printf '%s\\000' \"$a\"; done\n"
			if err := os.WriteFile(filepath.Join(dir, "curl"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		x := askedFor(body, ":method", "POST", ":scheme", "https", ":authority", authority, ":path", path, "x-v", value)
		command, _, err := curlCommand(x, nothingMasked)
		if err != nil {
			return
		}
		for _, r := range command {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%U in %q", r, command)
			}
		}
		cmd := exec.Command("sh")
		cmd.Dir, cmd.Env, cmd.Stdin = dir, []string{"PATH=" + dir + ":/usr/bin:/bin"}, strings.NewReader(command)
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("https://"+authority+path+"\x00")) {
			t.Fatalf("%v %q of %s", err, out, command)
		}
	})
}
