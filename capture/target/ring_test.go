// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// record builds what the kernel writes: header, body, time.
func record(kind uint32, misc uint16, time uint64, body []byte) []byte {
	for len(body)%8 != 0 {
		body = append(body, 0)
	}
	b := binary.NativeEndian.AppendUint32(nil, kind)
	b = binary.NativeEndian.AppendUint16(b, misc)
	b = binary.NativeEndian.AppendUint16(b, uint16(8+len(body)+8))
	return binary.NativeEndian.AppendUint64(append(b, body...), time)
}

func words(of ...uint32) (b []byte) {
	for _, w := range of {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return b
}

func mmap2(pid uint32, path string) []byte {
	b := words(pid, pid)
	for _, v := range []uint64{0x7f0000001000, 0x2000, 0x1000} {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	b = append(b, words(8, 1)...)
	b = binary.NativeEndian.AppendUint64(b, 1234)
	b = binary.NativeEndian.AppendUint64(b, 0)
	return append(append(append(b, words(5, 2)...), path...), 0)
}

func keepSSL(path []byte, _ uint64) bool { f, _ := familyOf(path); return f == OpenSSL }

// Records of many lengths go several times around a small ring.
func TestRingWrapsAround(t *testing.T) {
	r := &ring{page: new(unix.PerfEventMmapPage), data: make([]byte, 1024)}
	r.page.Data_head, r.page.Data_tail = 1<<40-8, 1<<40-8
	var want, got [][]byte
	for i := range 500 {
		body := bytes.Repeat([]byte{byte(i)}, 8+8*(i*7%40))
		rec := record(77, uint16(i), uint64(i), body)
		if r.page.Data_head+uint64(len(rec))-r.page.Data_tail > uint64(len(r.data)) {
			r.drain(func(kind uint32, misc uint16, body []byte) {
				if kind != 77 || int(misc) != len(got) {
					t.Errorf("record %d, kind %d", misc, kind)
				}
				got = append(got, bytes.Clone(body))
			})
		}
		for _, c := range rec {
			r.data[r.page.Data_head%uint64(len(r.data))] = c
			r.page.Data_head++
		}
		want = append(want, rec[8:])
	}
	r.drain(func(_ uint32, _ uint16, body []byte) { got = append(got, bytes.Clone(body)) })
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d records of %d came out, or differently", len(got), len(want))
	}
	if r.page.Data_tail != r.page.Data_head {
		t.Errorf("tail %d, head %d", r.page.Data_tail, r.page.Data_head)
	}
	// No header has that length: it must not go round for ever.
	for i := range r.data {
		r.data[i] = 0
	}
	r.page.Data_head += 64
	r.drain(func(uint32, uint16, []byte) { t.Error("a record of length 0") })
}

func TestParseNotice(t *testing.T) {
	other := uint32(0xffffffff) // a pid outside our namespace
	for name, c := range map[string]struct {
		rec  []byte
		want notice
		ok   bool
	}{
		"fork":           {record(unix.PERF_RECORD_FORK, 0, 9, words(5, 4, 5, 4, 0, 0)), notice{kind: noticeFork, pid: 5, ppid: 4, tid: 5, time: 9}, true},
		"thread":         {record(unix.PERF_RECORD_FORK, 0, 9, words(4, 4, 5, 4, 0, 0)), notice{}, false},
		"exit":           {record(unix.PERF_RECORD_EXIT, 0, 9, words(5, 4, 5, 4, 0, 0)), notice{kind: noticeExit, pid: 5, tid: 5, time: 9}, true},
		"exit of thread": {record(unix.PERF_RECORD_EXIT, 0, 9, words(5, 4, 6, 4, 0, 0)), notice{kind: noticeExit, pid: 5, tid: 6, time: 9}, true},
		"exit outside":   {record(unix.PERF_RECORD_EXIT, 0, 9, words(other, 4, other, 4, 0, 0)), notice{kind: noticeExit, pid: -1, tid: -1, time: 9}, true},
		"exec": {record(unix.PERF_RECORD_COMM, 1<<13, 9, append(words(5, 5), "nginx\x00"...)),
			notice{kind: noticeComm, exec: true, pid: 5, tid: 5, time: 9, comm: "nginx"}, true},
		"comm": {record(unix.PERF_RECORD_COMM, 0, 9, append(words(5, 5), "fifteen-octets!\x00"...)),
			notice{kind: noticeComm, pid: 5, tid: 5, time: 9, comm: "fifteen-octets!"}, true},
		"comm of thread": {record(unix.PERF_RECORD_COMM, 0, 9, append(words(5, 6), "nginx\x00"...)), notice{}, false},
		"map": {record(unix.PERF_RECORD_MMAP2, 0, 9, mmap2(5, "/l/libssl.so.3 (deleted)")),
			notice{kind: noticeMap, pid: 5, tid: 5, time: 9, m: mapping{
				start: 0x7f0000001000, end: 0x7f0000003000, major: 8, minor: 1, inode: 1234, path: "/l/libssl.so.3 (deleted)"}}, true},
		"map of another": {record(unix.PERF_RECORD_MMAP2, 0, 9, mmap2(5, "/l/libc.so.6")), notice{}, false},
		"map of memory":  {record(unix.PERF_RECORD_MMAP2, 0, 9, mmap2(5, "//anon")), notice{}, false},
		"cut":            {record(unix.PERF_RECORD_MMAP2, 0, 9, words(5, 5)), notice{}, false},
		"unknown":        {record(999, 0, 9, words(5, 5)), notice{}, false},
	} {
		b := c.rec
		got, ok := parseNotice(binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint16(b[4:]), b[8:], keepSSL)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: got %+v, %v\nwant %+v, %v", name, got, ok, c.want, c.ok)
		}
	}
	lost := record(unix.PERF_RECORD_LOST, 0, 9, words(1, 0, 42, 0))
	if n := parseLost(unix.PERF_RECORD_LOST, lost[8:]); n != 42 {
		t.Errorf("lost %d, want 42", n)
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string][]int{"0\n": {0}, "0-3,8": {0, 1, 2, 3, 8}, "0,2-3\n": {0, 2, 3}, "": nil, "x": nil, "1-": nil, "0-99999999": nil} {
		if got, err := parseCPUs(list); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
}

// A processor that comes back gets a ring anew.
func TestRingsReopen(t *testing.T) {
	needRoot(t)
	w, err := newWatcher(context.Background(), Selection{PIDs: []int{os.Getppid()}}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	n := len(w.rings)
	if n == 0 || n != len(onlineCPUs()) {
		t.Fatalf("%d rings for processors %v", n, onlineCPUs())
	}
	for _, r := range w.rings {
		w.dropRing(r.fd)
		break
	}
	if opened, err := w.openRings(); err != nil || !opened || len(w.rings) != n {
		t.Errorf("opened %v, %v: %d rings of %d", opened, err, len(w.rings), n)
	}
	if opened, err := w.openRings(); err != nil || opened {
		t.Errorf("opened %v, %v again", opened, err)
	}
}

// FuzzNotice: whatever the kernel writes, a record is read within its bounds, and
// a mapping that is told of has a path that was asked for.
func FuzzNotice(f *testing.F) {
	f.Add(uint32(unix.PERF_RECORD_MMAP2), uint16(0), record(0, 0, 7, mmap2(5, "/usr/lib/libssl.so.3"))[8:])
	f.Add(uint32(unix.PERF_RECORD_COMM), uint16(1<<13), record(0, 0, 7, append(words(5, 5), "nginx\x00"...))[8:])
	f.Add(uint32(unix.PERF_RECORD_FORK), uint16(0), record(0, 0, 7, words(5, 4, 5, 4, 0, 0))[8:])
	f.Add(uint32(unix.PERF_RECORD_EXIT), uint16(0), record(0, 0, 7, words(5, 4, 5, 4, 0, 0))[8:])
	f.Add(uint32(unix.PERF_RECORD_LOST), uint16(0), record(0, 0, 7, words(1, 0, 3, 0))[8:])
	f.Fuzz(func(t *testing.T, kind uint32, misc uint16, body []byte) {
		n, ok := parseNotice(kind, misc, body[:len(body):len(body)], keepSSL)
		if ok && (n.kind < noticeFork || n.kind > noticeMap || n.kind == noticeMap && !keepSSL(bytes.TrimSuffix([]byte(n.m.path), []byte(deletedSuffix)), 0)) {
			t.Errorf("%x: %+v", body, n)
		}
		parseLost(kind, body)
	})
}
