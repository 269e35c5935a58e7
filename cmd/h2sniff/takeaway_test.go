// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
	"h2sniff/tui"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/http2"
)

var comparable = cmpopts.EquateComparable(netip.AddrPort{})

// storeOf is a store with the rows of a recording.
func storeOf(t *testing.T, path string, history int64) *store.Store {
	t.Helper()
	src, _, _, err := openFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	return storeFrom(t, src, history)
}

func storeFrom(t *testing.T, src capture.Source, history int64) *store.Store {
	t.Helper()
	st := store.New(store.Options{History: history})
	if err := (&pump{src: src, store: st}).run(); err != nil {
		t.Fatal(err)
	}
	return st
}

// allRows are the rows held, without what a file made from them cannot give:
// the time of a frame's last octet.
func allRows(st *store.Store) []store.Entry {
	first, end := st.Span(store.View{})
	rows := st.Rows(store.View{}, first, int(end-first))
	for i := range rows {
		rows[i].TimeEnd = rows[i].Time
	}
	return rows
}

func take(t *testing.T, st *store.Store, v store.View, path string) string {
	t.Helper()
	said, err := (&takeaway{store: st}).write(tui.NewTake(st, v, path, nil))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: %v, %v", path, info.Mode(), err)
	}
	return said
}

// TestTakeRecording: what is written as a recording is read back to the same
// rows, also where only a part of the connection is shown.
func TestTakeRecording(t *testing.T) {
	st := storeOf(t, recordHTTP(t), 0)
	stream := store.View{Conn: 1, Stream: 3, HasStream: true}
	for _, v := range []store.View{{}, {Conn: 1}, stream} {
		path := filepath.Join(t.TempDir(), "x.pcapng")
		if said := take(t, st, v, path); !strings.HasPrefix(said, "wrote 1 whole connection to "+path+"; elsewhere: tshark -r "+path+" -d tcp.port==") {
			t.Errorf("%q", said)
		}
		if diff := cmp.Diff(allRows(st), allRows(storeOf(t, path, 0)), comparable); diff != "" {
			t.Errorf("%+v: -stored +read back\n%s", v, diff)
		}
	}
}

func h2frame(length int, typ, flags byte, stream uint32, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(length)<<8|uint32(typ))
	b = append(b, flags)
	return string(binary.BigEndian.AppendUint32(b, stream)) + payload
}

// TestTakeDamaged: gaps between frames and inside of them, a frame that the end
// of its connection cut, a connection found in its middle.
func TestTakeDamaged(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	var events script
	pos := map[[2]int]uint64{}
	data := func(conn capture.ConnID, d capture.Direction, text string, more uint64) {
		at := [2]int{int(conn), int(d)}
		events = append(events, capture.Event{Kind: capture.Data, Conn: conn, Direction: d, Time: int64(1000 * len(events)),
			Offset: pos[at], Length: uint64(len(text)) + more, Data: []byte(text)})
		pos[at] += uint64(len(text)) + more
	}
	events = append(events, capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{PID: 5, Comm: "a", Fresh: true}})
	data(1, capture.Recv, preface+h2frame(0, 4, 0, 0, ""), 0)
	data(1, capture.Send, h2frame(0, 4, 0, 0, ""), 0)
	data(1, capture.Recv, h2frame(3, 1, 4, 1, "\x82\x84\x87"), 0) // GET / https
	data(1, capture.Recv, h2frame(100, 0, 0, 1, "beginning of it"), 0)
	pos[[2]int{1, 1}] += 85                                             // lost within the frame
	data(1, capture.Recv, h2frame(100, 0, 0, 1, "beginning of it"), 85) // its end was not copied
	data(1, capture.Recv, h2frame(8, 6, 0, 0, "pingping"), 0)
	pos[[2]int{1, 1}] += 500 // lost
	for i := range 20 {      // enough to get back in step
		data(1, capture.Recv, h2frame(8, 6, 0, 0, fmt.Sprintf("ping%04d", i)), 0)
	}
	events = append(events, capture.Event{Kind: capture.Unsent, Conn: 1, Direction: capture.Send, Time: 1e5, Offset: pos[[2]int{1, 0}] - 4, Length: 4})
	data(1, capture.Send, h2frame(50, 0, 0, 1, "never all of it"), 0)
	data(1, capture.Recv, h2frame(20000, 1, 4, 3, "nor of this, which is too long as well"), 0)
	events = append(events, capture.Event{Kind: capture.Close, Conn: 1, Time: 1e6})
	st := storeFrom(t, &events, 0)

	path := filepath.Join(t.TempDir(), "x.pcapng")
	said := take(t, st, store.View{}, path)
	if !strings.Contains(said, "without the payload of 1 frame with octets missing") {
		t.Errorf("%q", said)
	}
	want, got := allRows(st), allRows(storeOf(t, path, 0))
	if len(want) < 25 || len(got) != len(want) {
		t.Fatalf("%d rows, %d read back\n%v", len(want), len(got), got)
	}
	for i := range want {
		w, g := &want[i], &got[i]
		if w.Missing > 0 {
			// Nothing is claimed of its payload.
			if g.Missing != g.Header.Length || strings.Trim(string(g.Payload), "\x00") != "" {
				t.Errorf("row %d: %d missing, %q", w.Seq, g.Missing, g.Payload)
			}
			g.Missing, g.Payload = w.Missing, w.Payload
		}
		if w.Kind == decode.RowGap {
			g.GapBytes, g.Time, g.TimeEnd = w.GapBytes, w.Time, w.TimeEnd
		}
		if diff := cmp.Diff(w, g, comparable); diff != "" {
			t.Errorf("row %d: -stored +read back\n%s", w.Seq, diff)
		}
	}
	if cut := want[len(want)-3]; !cut.Err.Unfinished || cut.Header.Length != 50 {
		t.Errorf("%+v is not the frame that was cut", cut)
	}
	if cut := want[len(want)-2]; !cut.Err.Unfinished || cut.Err.Code != http2.ErrCodeFrameSize || cut.Header.Length != 20000 {
		t.Errorf("%+v is not the malformed frame that was cut", cut)
	}
}

// TestTakeStreams: as JSON and as HAR, only what is shown.
func TestTakeStreams(t *testing.T) {
	st := storeOf(t, recordHTTP(t), 0)
	v := store.View{Conn: 1, Stream: 3, HasStream: true}
	dir := t.TempDir()
	take(t, st, v, filepath.Join(dir, "x.json"))
	b, err := os.ReadFile(filepath.Join(dir, "x.json"))
	if err != nil {
		t.Fatal(err)
	}
	first, end := st.Span(v)
	if n := strings.Count(string(b), "\n"); n != int(end-first) || strings.Count(string(b), `"stream":3`) != n {
		t.Errorf("%d lines of %d rows\n%s", n, end-first, b)
	}
	if said := take(t, st, v, filepath.Join(dir, "x.har")); !strings.Contains(said, "1 exchange as HAR") {
		t.Errorf("%q", said)
	}
	b, err = os.ReadFile(filepath.Join(dir, "x.har"))
	if err != nil {
		t.Fatal(err)
	}
	var archive struct {
		Log struct {
			Entries []struct{ Request struct{ URL string } }
		}
	}
	if err := json.Unmarshal(b, &archive); err != nil || len(archive.Log.Entries) != 1 || !strings.HasSuffix(archive.Log.Entries[0].Request.URL, "/reset") {
		t.Errorf("%v: %+v", err, archive)
	}
}

// TestTakeRefuses: nothing is overwritten, and no half of a file stays.
func TestTakeRefuses(t *testing.T) {
	st := storeOf(t, recordHTTP(t), 0)
	dir := t.TempDir()
	there := filepath.Join(dir, "there.json")
	if err := os.WriteFile(there, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.har")
	if err := os.Symlink(there, link); err != nil {
		t.Fatal(err)
	}
	stop := func() bool { return true }
	for _, c := range []struct {
		path    string
		view    store.View
		stopped func() bool
		want    string
	}{
		{there, store.View{}, nil, "is there already"},
		{link, store.View{}, nil, "is there already"},
		{filepath.Join(dir, "x.txt"), store.View{}, nil, "has to end in"},
		{filepath.Join(dir, "no", "x.har"), store.View{}, nil, "no such file"},
		{filepath.Join(dir, "x.har"), store.View{Conn: 9}, nil, errNoRows.Error()},
		{filepath.Join(dir, "x.json"), store.View{}, stop, "stopped"},
		{filepath.Join(dir, "x.pcapng"), store.View{}, stop, "stopped"},
	} {
		_, err := (&takeaway{store: st}).write(tui.NewTake(st, c.view, c.path, c.stopped))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	if b, _ := os.ReadFile(there); string(b) != "mine" {
		t.Errorf("%q", b)
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("%v", files)
	}
}

// TestTakeMadeUp: where packets bear addresses that the connection does not have,
// it is said beside the command that names their port.
func TestTakeMadeUp(t *testing.T) {
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	bind := capture.Event{Kind: capture.Bind, Conn: 1, Time: 3, Binding: &capture.Binding{
		Local: netip.MustParseAddrPort("127.0.0.1:28544"), Remote: netip.MustParseAddrPort("127.0.0.1:40000"), Evidence: capture.Inferred}}
	open := capture.Event{Kind: capture.Open, Conn: 1, Time: 1, Info: &capture.ConnInfo{PID: 1, Comm: "node", Role: capture.Server, Fresh: true}}
	data := capture.Event{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Time: 2, Length: uint64(len(preface)), Data: []byte(preface)}
	const note = "  # addresses and ports of 1 connection are made up there"
	for _, c := range []struct {
		events script
		end    string
	}{
		{script{open, data}, "-d tcp.port==443,http2" + note},
		{script{open, bind, data}, "-d tcp.port==28544,http2"},
		{script{open, data, bind}, "-d tcp.port==28544,http2"}, // as is known by now
	} {
		st := storeFrom(t, &c.events, 0)
		path := filepath.Join(t.TempDir(), "x.pcapng")
		if said := take(t, st, store.View{}, path); !strings.HasSuffix(said, c.end) {
			t.Errorf("%q does not end in %q", said, c.end)
		}
		want, _ := st.Conn(1)
		if conn, _ := storeOf(t, path, 0).Conn(1); conn.Local != want.Local || conn.Evidence != want.Evidence {
			t.Errorf("read back as %v, %v", conn.Local, conn.Evidence)
		}
	}
}
