// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// copyOf presses y and a key on a row, and gives what the terminal was told to
// put into its clipboard and what the screen says.
func copyOf(t *testing.T, m *Model, out *bytes.Buffer, seq uint64, keys string) (text, notice string) {
	t.Helper()
	out.Reset()
	m.frames.goTo(m, store.View{}, seq, false)
	m.refresh()
	press(m, keys)
	if err := checkScreen(m); err != nil {
		t.Fatal(err)
	}
	s, ok := strings.CutPrefix(out.String(), "\x1b]52;c;")
	if !ok {
		if out.Len() > 0 {
			t.Fatalf("%q was written", out)
		}
		return "", m.notice
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimRight(s, "\x07\x1b\\"))
	if err != nil {
		t.Fatalf("%v: %q", err, s)
	}
	return string(b), m.notice
}

// TestCopy: each choice, with secrets masked and shown.
func TestCopy(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("TERM", "xterm-256color")
	var out bytes.Buffer
	m := newScreen(talkative(t).st, 120, 36, Options{Terminal: &out})
	const secret = "c2VjcmV0"
	press(m, "y")
	if v := m.View(); !strings.Contains(v, "copy  c curl  h headers") {
		t.Errorf("no choices on the screen:\n%s", v)
	}
	press(m, "esc")
	for _, c := range []struct {
		seq    uint64
		keys   string
		want   []string
		notice string
	}{
		{9, "y c", []string{"curl --http2", "'https://shop.example/v1/orders?dry=1'", "leave at the door"}, "2 fields left out (masked"},
		{8, "y h", []string{":method: POST\n", "authorization: ••", "content-type: application/json\n"}, "2 values masked"},
		{14, "y h", []string{":status: 200\n", "set-cookie: ••"}, "1 value masked"},
		{4, "y x", []string{"000006040000000000000400004e20\n"}, "copied as hex"},
		{8, "y x", nil, "the octets hold a masked value"},
		{8, "y j", []string{`"type":"HEADERS"`, `"/v1/orders?dry=1"`}, "2 values masked"},
		{10, "y b", []string{`"note":"leave at the door","gift":false}`}, "copied as body"},
		{22, "y b", []string{"00000000070a057461626c65"}, "in hex"},
		{1, "y c", nil, "this row is no frame"},
		{4, "y c", nil, "belongs to no stream"},
		{8, "y v", nil, "no header field is under the cursor"},
		{8, "4 g j j j j j y v", []string{"/v1/orders?dry=1"}, "copied as value, 16 octets"},
		{8, "4 g j j j j j j j y v", nil, "the value is masked"},
		{8, "* y c", []string{"authorization: Bearer " + secret, "cookie: session=8f2a; theme=dark"}, "copied as curl"},
		{8, "y h", []string{"authorization: Bearer " + secret}, "copied as headers"},
		{8, "y x", []string{"00004a0104"}, "copied as hex"},
	} {
		press(m, "3")
		text, notice := copyOf(t, m, &out, c.seq, c.keys)
		if !m.unmasked && strings.Contains(text, secret) {
			t.Errorf("%d %q: a secret was copied", c.seq, c.keys)
		}
		if !strings.Contains(notice, c.notice) || (text == "") != (c.want == nil) {
			t.Errorf("%d %q: %q, notice %q", c.seq, c.keys, text, notice)
		}
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%d %q: no %q in\n%s", c.seq, c.keys, w, text)
			}
		}
		if strings.HasSuffix(c.keys, "j") && !json.Valid([]byte(text)) {
			t.Errorf("no JSON: %s", text)
		}
	}
}

// tryCopies copies each row in each way: the terminal is sent one sequence that
// sets its clipboard and nothing else, and no text that acts where it is pasted.
func tryCopies(t *testing.T, text string) {
	t.Helper()
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("TERM", "xterm-256color")
	var out bytes.Buffer
	st := hostileStore(text)
	m := newScreen(st, 100, 30, Options{Terminal: &out})
	press(m, "* g")
	for seq := range st.Snapshot().Rows {
		for _, keys := range []string{"y c", "y h", "y x", "y j", "y b", "4 g j y v", "j y v", "j y v"} {
			got, _ := copyOf(t, m, &out, seq+1, keys)
			if i := strings.IndexFunc(got, acts); i >= 0 {
				t.Errorf("row %d, %q: %.40q", seq+1, keys, got[i:])
			}
		}
		press(m, "3")
	}
}

// acts says whether a rune does something where it is pasted, beside white space.
func acts(r rune) bool {
	return unicode.IsControl(r) && !strings.ContainsRune("\n\t\r", r) || unicode.Is(unicode.Bidi_Control, r)
}

func TestCopyHostile(t *testing.T) {
	for name, s := range hostile {
		t.Run(name, func(t *testing.T) { tryCopies(t, s[:min(len(s), 1<<12)]) })
	}
}

func FuzzCopy(f *testing.F) {
	for _, s := range hostile {
		if len(s) < 1000 {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 1000 {
			tryCopies(t, s)
		}
	})
}

// Nowhere to copy to is said.
func TestCopyToNowhere(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	m := newScreen(talkative(t).st, 120, 36, Options{})
	if press(m, "y j"); !strings.Contains(m.View(), errNoClipboard.Error()) {
		t.Error(m.View())
	}
}

// TestWrite: what is shown is handed over with the name that was typed, and
// what came of it is said.
func TestWrite(t *testing.T) {
	tr := talkative(t)
	var path string
	var rows []uint64
	fail := errors.New("no room")
	m := newScreen(tr.st, 120, 36, Options{Write: func(w *Take) (string, error) {
		path, rows = w.Path, nil
		err := w.Rows(func(e *store.Entry) error {
			rows = append(rows, e.Seq)
			return nil
		})
		if w.Path == "full.json" {
			err = fail
		}
		return "wrote it", err
	}})
	press(m, "/ 3 enter w")
	do(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q w.har")})
	if v := m.View(); !strings.Contains(v, ": write q w.har▏") {
		t.Errorf("no prompt on\n%s", v)
	}
	if press(m, "enter"); path != "q w.har" || len(rows) != 6 || rows[0] != 18 || m.notice != "wrote it" {
		t.Errorf("%q, rows %d, notice %q", path, rows, m.notice)
	}
	press(m, "w")
	do(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("full.json")})
	if press(m, "enter"); m.notice != "not written: no room" || !m.noticeAlarm {
		t.Errorf("notice %q", m.notice)
	}
	path = ""
	if press(m, "w x esc w enter"); path != "" || !strings.Contains(m.View(), "a name is needed") {
		t.Errorf("wrote %q\n%s", path, m.View())
	}
	press(m, "esc")
	m = newScreen(tr.st, 120, 36, Options{})
	if press(m, "w x enter"); !strings.Contains(m.View(), "nothing here can write files") {
		t.Errorf("%s", m.View())
	}
}
