// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"encoding/base64"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// A recording is opened: rows come while it is read, and stay at their beginning.
func TestFlowOpen(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(10)
	var read atomic.Int64
	f := startFlow(t, tr.st, 120, 36, Options{Source: "a.pcapng", Status: func() Status {
		n := read.Load()
		return Status{Read: n, Size: 200, Done: n == 200}
	}})
	f.await("FILE reading 0%", "34 rows")
	k.more(101, 10)
	read.Store(100)
	f.await("FILE reading 50%", "64 rows")
	f.press("j j")
	k.more(201, 10)
	read.Store(200)
	f.await("■ FILE  a.pcapng", "94 rows")
	f.press("q")
	m, _ := f.end()
	if got := selectedSeq(t, m); got != 3 || m.frames.end != 94 {
		t.Errorf("on row %d of %d", got, m.frames.end)
	}
}

// A filter is typed with its completion and a mistake, and taken back.
func TestFlowFilter(t *testing.T) {
	f := startFlow(t, sample(t).st, 120, 36, Options{})
	f.await("60 rows")
	f.press("/")
	f.typed("typ", "tab")
	f.await("/ type▏")
	f.typed("==DATAX", "")
	f.await("✗ at")
	f.press("backspace")
	f.await("✓ 9 match")
	f.press("enter")
	f.await("9 rows of 60", "/ type==DATA")
	f.press("j s")
	f.await("5 rows of 60", "› s3", "whole; esc goes back to the filter")
	f.press("esc")
	f.await("9 rows of 60", "/ type==DATA")
	f.press("esc")
	f.await("60 rows")
	f.press("q")
	m, _ := f.end()
	if m.filter != nil || m.view != (store.View{}) || selectedSeq(t, m) != 14 {
		t.Errorf("filter %v, view %+v, row %d", m.filter, m.view, selectedSeq(t, m))
	}
	if lines := m.history[promptFilter].lines; len(lines) != 1 || lines[0] != "type==DATA" {
		t.Errorf("the history of filters: %q", lines)
	}
}

// The view is frozen while the capture goes on, and follows again.
func TestFlowPause(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(20)
	f := startFlow(t, tr.st, 120, 36, Options{Live: true})
	f.await("● LIVE", "⇣ FOLLOW", "64 rows")
	f.press("space")
	f.await("PAUSED +0")
	k.more(101, 10)
	f.await("PAUSED +30")
	f.press("pgup k")
	k.more(201, 1)
	f.await("PAUSED +33")
	f.press("space")
	f.await("● LIVE", "97 rows")
	k.more(301, 1)
	f.await("100 rows")
	f.press("G")
	f.await("⇣ FOLLOW")
	k.more(401, 1)
	f.await("103 rows", "▶  103")
	f.press("q")
	if m, _ := f.end(); m.paused || selectedSeq(t, m) != 103 {
		t.Errorf("paused %v, on row %d of 103", m.paused, selectedSeq(t, m))
	}
}

// Searching, problems, partners, frames of a stream and marks lead from row to
// row, and every jump back.
func TestFlowSearchAndJump(t *testing.T) {
	f := startFlow(t, sample(t).st, 120, 36, Options{})
	f.await("60 rows")
	f.press("ctrl+f")
	f.typed("items/xx", "enter")
	f.await("match of items/xx 1 of 6")
	f.press("n n N")
	f.await("match of items/xx 2 of 6")
	f.press("m a")
	f.await("is mark a")
	f.press("r")
	f.await("▶   20", ":status 200")
	f.press("o")
	f.await("▶   21")
	f.press("e")
	f.await("problem ")
	f.press("G ' a")
	f.await("▶")
	f.press("ctrl+f")
	f.typed("0x0102030405060708", "enter")
	f.await("match of 0x0102", "1 of 2")
	f.press("' '")
	f.press("q")
	m, _ := f.end()
	if got := selectedSeq(t, m); got != 19 || m.marks['a'] != 19 {
		t.Errorf("on row %d, mark a is row %d", got, m.marks['a'])
	}
}

// lockedBuffer is a terminal's clipboard sequence as it was sent.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A request is copied as a command, by way of the terminal, without its secret.
func TestFlowCopy(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("TERM", "xterm-256color")
	var out lockedBuffer
	f := startFlow(t, sample(t).st, 120, 36, Options{Terminal: &out})
	f.press(":")
	f.typed("goto 37", "enter")
	f.await("▶   37", "POST /upload")
	f.press("y")
	f.await("copy  c curl")
	f.press("c")
	f.await("copied as curl")
	f.press("q")
	f.end()
	text, ok := strings.CutPrefix(out.String(), "\x1b]52;c;")
	b, err := base64.StdEncoding.DecodeString(strings.TrimRight(text, "\x07\x1b\\"))
	if !ok || err != nil || !strings.Contains(string(b), "'https://example.com/upload?name=a%20b'") || strings.Contains(string(b), "c2VjcmV0") {
		t.Errorf("%q, %v", b, err)
	}
}

// Commands are completed, refused with the reason, and done; the last one ends
// the program.
func TestFlowCommands(t *testing.T) {
	f := startFlow(t, sample(t).st, 120, 36, Options{})
	f.await("60 rows")
	f.press(":")
	f.typed("nonsense", "enter")
	f.await(`no command "nonsense"`)
	f.press("ctrl+u")
	f.typed("lay", "tab")
	f.await(": layout ▏")
	f.typed("rows", "enter")
	f.await("[3 Frames")
	f.press(":")
	f.typed("theme mono", "enter :")
	f.typed("52", "enter")
	f.await("Detail #52")
	f.press("? ")
	f.await("next problem")
	f.press("esc :")
	f.typed("quit", "enter")
	if m, _ := f.end(); m.theme != "mono" || m.arrangement != arrangeRows || m.overlay != nil || selectedSeq(t, m) != 52 {
		t.Errorf("theme %q, layout %v, overlay %v, row %d", m.theme, m.arrangement, m.overlay, selectedSeq(t, m))
	}
}

// The screen is drawn for each size that the terminal gets, and the place stays.
func TestFlowResize(t *testing.T) {
	f := startFlow(t, sample(t).st, 120, 36, Options{})
	f.await("1 Connections", "4 Detail")
	f.press("j j j")
	for _, size := range []struct {
		w, h int
		want string
	}{{80, 24, "[3 Frames"}, {40, 12, "[3 Frames"}, {3, 3, "▶"}, {200, 60, "1 Connections"}} {
		f.tm.Send(tea.WindowSizeMsg{Width: size.w, Height: size.h})
		f.await(size.want)
	}
	f.press("q")
	m, _ := f.end()
	if lines := strings.Split(m.View(), "\n"); m.width != 200 || len(lines) != 60 || selectedSeq(t, m) != 4 {
		t.Errorf("%d cells, %d lines, row %d", m.width, len(lines), selectedSeq(t, m))
	}
}

// Narrowing by keys and by the mouse, and back.
func TestFlowNarrow(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(20)
	tr.requests(20)
	f := startFlow(t, tr.st, 120, 36, Options{Source: "a.pcapng"})
	f.await("128 rows")
	f.press("1 j enter")
	f.await("64 rows of 128", "› c2")
	f.press("j j enter")
	f.await("3 rows of 128", "c2 › s5")
	f.press("esc esc")
	f.await("128 rows")
	box := newLayout(120, 36, wanted{}).boxes[1]
	f.tm.Send(click(box.x+5, box.y+4))
	f.tm.Send(click(box.x+5, box.y+4))
	f.await("3 rows of 128")
	f.press("q")
	if m, _ := f.end(); m.view != (store.View{Conn: 2, Stream: 5, HasStream: true}) {
		t.Errorf("view %+v", m.view)
	}
}

// ^c and q close what is open first, and a file that is being written is not
// ended without a word.
func TestFlowQuit(t *testing.T) {
	written := make(chan struct{})
	defer close(written)
	f := startFlow(t, sample(t).st, 120, 36, Options{Write: func(*Take) (string, error) {
		<-written
		return "", ErrStopped
	}})
	f.await("60 rows", "q quit")
	f.press("/")
	f.typed("type", "")
	f.await("/ type▏")
	f.press("ctrl+c")
	f.await("q quit")
	f.press("?")
	f.await("next problem")
	f.press("q")
	f.await("60 rows", "q quit")
	f.press(":")
	f.typed("write x.har", "enter")
	f.await("writing x.har")
	f.press("q")
	f.await("q again ends it and quits")
	f.press("q")
	if m, out := f.end(); m.typing != nil || m.overlay != nil || strings.Contains(out, "not written") {
		t.Errorf("prompt %v, overlay %v, %q", m.typing, m.overlay, out)
	}
}

// Under steady traffic every key is answered, and what is stored is what came.
func TestFlowUnderTraffic(t *testing.T) {
	tr := newTraffic(8 << 20)
	k := tr.requests(0)
	stop, stopped := make(chan struct{}), make(chan uint64)
	go func() {
		n := uint64(0)
		for stream := uint32(1); ; stream += 200 {
			select {
			case <-stop:
				stopped <- n
				return
			default:
				k.more(stream, 100)
				n += 300
			}
		}
	}()
	f := startFlow(t, tr.st, 120, 36, Options{Live: true})
	f.await("⇣ FOLLOW")
	f.press("space")
	f.await("PAUSED")
	f.press("/")
	f.typed("status==200", "enter")
	f.await("/ status==200", "match")
	f.press("esc space ctrl+f")
	f.typed("no such text", "enter")
	f.await("no match of no such text")
	f.press("G 1 enter 2 2 W esc ? esc")
	f.press(":")
	f.typed("quit", "enter")
	m, _ := f.end()
	close(stop)
	n := <-stopped
	if got := tr.st.Snapshot().Frames; got != n+2 { // and two SETTINGS
		t.Errorf("%d frames are stored, %d came", got, n)
	}
	if m.paused {
		t.Error("paused at the end")
	}
}
