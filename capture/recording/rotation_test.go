// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"h2sniff/capture"
)

// rotate writes events as a rotation and gives it, closed.
func rotate(t *testing.T, o RotationOptions, events []capture.Event) *Rotation {
	t.Helper()
	r, err := CreateRotation(filepath.Join(t.TempDir(), "x.pcapng"), o, Options{Start: 77})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := r.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	r.SetStats(capture.Stats{LostEvents: 5, Missed: 2})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// traffic is data of three connections in both directions, with holes.
func traffic() []capture.Event {
	rng := rand.New(rand.NewPCG(5, 6))
	var events []capture.Event
	var at [4][2]uint64
	for id := capture.ConnID(1); id <= 3; id++ {
		events = append(events,
			capture.Event{Kind: capture.Open, Conn: id, TID: 9, Time: 1000 + int64(id), Info: &capture.ConnInfo{PID: 9, TID: 9, Comm: "nginx", Fresh: true}},
			capture.Event{Kind: capture.Bind, Conn: id, TID: 9, Time: 1010, Binding: &capture.Binding{
				Local:  netip.MustParseAddrPort("192.0.2.1:443"),
				Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), 5000+uint16(id)), Evidence: capture.Exact}})
	}
	for i := range 400 {
		id, d := capture.ConnID(1+rng.IntN(3)), capture.Direction(rng.IntN(2))
		data := make([]byte, rng.IntN(300))
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		ev := capture.Event{Kind: capture.Data, Conn: id, Direction: d, TID: 9, Time: 2000 + int64(i), Offset: at[id][d], Length: uint64(len(data)), Data: data}
		switch rng.IntN(10) {
		case 0:
			ev.Kind, ev.Data = capture.Lost, nil
		case 1:
			ev.Length += 50 // not copied
		case 2:
			ev.Offset += 30 // lost before
		}
		at[id][d] = ev.Offset + ev.Length
		events = append(events, ev)
	}
	return append(events, capture.Event{Kind: capture.Close, Conn: 2, Time: 3000})
}

// TestRotation: every file can be read by itself, and together they hold each
// event of the connections at its place.
func TestRotation(t *testing.T) {
	events := traffic()
	r := rotate(t, RotationOptions{Size: 20_000}, events)
	first, last := r.Files()
	if first != 1 || last < 4 {
		t.Fatalf("files %d to %d", first, last)
	}
	var got []capture.Event
	var origin [4][2]uint64 // what the files before had
	for n := first; n <= last; n++ {
		st, err := os.Stat(r.Name(n))
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() > 21_000 || st.Mode().Perm() != 0o600 {
			t.Errorf("file %d: %d octets, mode %v", n, st.Size(), st.Mode())
		}
		rd, err := Open(r.Name(n))
		if err != nil {
			t.Fatal(err)
		}
		if rd.Start() != 77 {
			t.Errorf("file %d starts at %d", n, rd.Start())
		}
		next := origin
		known := make(map[capture.ConnID]capture.Kind)
		for {
			var ev capture.Event
			if err := rd.Read(&ev); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Fatalf("file %d: %v", n, err)
				}
				break
			}
			switch ev.Kind {
			case capture.Open:
				if ev.Info.Fresh != (n == 1) || ev.Time != 1000+int64(ev.Conn) || ev.Info.Comm != "nginx" {
					t.Errorf("file %d: %+v %+v", n, ev, ev.Info)
				}
			case capture.Bind:
				if ev.Binding.Remote.Port() != 5000+uint16(ev.Conn) {
					t.Errorf("file %d: bound to %v", n, ev.Binding)
				}
			default:
				if known[ev.Conn] != capture.Bind {
					t.Errorf("file %d: %v of connection %v before its addresses", n, ev.Kind, ev.Conn)
				}
				if ev.Kind == capture.Close {
					got = append(got, ev)
					continue
				}
				d := ev.Direction
				ev.Offset += origin[ev.Conn][d]
				next[ev.Conn][d] = ev.Offset + ev.Length
				ev.Data = bytes.Clone(ev.Data)
				got = append(got, ev)
				continue
			}
			known[ev.Conn] = ev.Kind
			if n == 1 {
				got = append(got, ev)
			}
		}
		if s := rd.Stats(); n == last && (s.LostEvents != 5 || s.Missed != 2) || n < last && s.LostEvents+s.Missed != 0 {
			t.Errorf("file %d: %d lost events, %d calls missed", n, s.LostEvents, s.Missed)
		}
		rd.Close()
		origin = next
	}
	if len(got) != len(events) {
		t.Fatalf("%d events, want %d", len(got), len(events))
	}
	for i, ev := range got {
		want := events[i]
		if ev.Kind != want.Kind || ev.Conn != want.Conn || ev.Time != want.Time || ev.Direction != want.Direction ||
			ev.Offset != want.Offset || ev.Length != want.Length || !bytes.Equal(ev.Data, want.Data) {
			t.Fatalf("event %d: got %+v, want %+v", i, ev, want)
		}
	}
}

// TestRotationFiles: no more files are kept than asked for.
func TestRotationFiles(t *testing.T) {
	r := rotate(t, RotationOptions{Size: 10_000, Files: 3}, traffic())
	first, last := r.Files()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(r.Name(1)), "*"))
	if err != nil {
		t.Fatal(err)
	}
	if last < 6 || first != last-2 || len(files) != 3 || files[0] != r.Name(first) || files[2] != r.Name(last) {
		t.Errorf("files %d to %d: %v", first, last, files)
	}
}

// TestRotationRefuses: files of two rotations do not mix, and none is lost unless
// that was asked for.
func TestRotationRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.pcapng")
	other := []string{"x.pcapng", "x-1.pcapng", "x-000001.pcapng", "x-00001.pcap", "xx-00001.pcapng", "x-00001-00001.pcapng", "x--0001.pcapng", "x-+0001.pcapng"}
	for _, name := range append(other, "x-00002.pcapng", "x-123456.pcapng") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("evidence"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	earlier, err := RotationFiles(path)
	if want := []string{filepath.Join(dir, "x-00002.pcapng"), filepath.Join(dir, "x-123456.pcapng")}; err != nil || !slices.Equal(earlier, want) {
		t.Errorf("files %v, %v, want %v", earlier, err, want)
	}
	if _, err := CreateRotation(path, RotationOptions{Size: 1000}, Options{}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), earlier[0]) {
		t.Errorf("beside files of another: %v", err)
	}
	r, err := CreateRotation(path, RotationOptions{Size: 1000}, Options{Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if files, err := RotationFiles(path); err != nil || !slices.Equal(files, []string{r.Name(1)}) {
		t.Errorf("files %v, %v, want %s", files, err, r.Name(1))
	}
	for _, name := range other {
		if held, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(held) != "evidence" {
			t.Errorf("%s, which is no file of the rotation, holds %q, %v", name, held, err)
		}
	}
}

// TestOwner: a file that is made is given away, one that was there is not.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("missing: root")
		}
		t.Skip("missing: root")
	}
	path := filepath.Join(t.TempDir(), "x.pcapng")
	for _, want := range []uint32{12345, 12345} {
		w, err := Create(path, Options{Owner: &Owner{UID: int(want), GID: 54321}, Replace: true})
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		wantOwner(t, path, want, 54321)
	}
	if err := os.Chown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	w, err := Create(path, Options{Owner: &Owner{UID: 12345, GID: 54321}, Replace: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	wantOwner(t, path, 0, 0)
}

func wantOwner(t *testing.T, path string, uid, gid uint32) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	if sys.Uid != uid || sys.Gid != gid || st.Mode().Perm() != 0o600 {
		t.Errorf("owner %d, group %d, mode %v", sys.Uid, sys.Gid, st.Mode())
	}
}
