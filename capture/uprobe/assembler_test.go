// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"fmt"
	"slices"
	"testing"

	"h2sniff/bpf"
	"h2sniff/capture"
)

// rig feeds records to an assembler and writes down the events.
type rig struct {
	*assembler
	out   []string
	state map[bpf.ConnKey]bpf.ConnState
	lost  map[bpf.LostKey]bpf.LostClose
}

func newRig() *rig {
	r := &rig{state: make(map[bpf.ConnKey]bpf.ConnState), lost: make(map[bpf.LostKey]bpf.LostClose)}
	r.assembler = &assembler{
		conns:     make(map[bpf.ConnKey]*conn),
		byID:      make(map[capture.ConnID]*conn),
		addresses: newAddresses(),
		library:   func(n uint32) string { return fmt.Sprintf("lib%d", n) },
		comm:      func(pid uint32) string { return fmt.Sprintf("comm%d", pid) },
		container: func(uint32) string { return "" },
		positions: func(key bpf.ConnKey, forget bool) (bpf.ConnState, bool) {
			s, ok := r.state[key]
			if forget {
				delete(r.state, key)
			}
			return s, ok
		},
		lostClose: func(key bpf.LostKey) (bpf.LostClose, bool) {
			end, ok := r.lost[key]
			delete(r.lost, key)
			return end, ok
		},
		stats: &stats{},
	}
	r.order.emit = func(ev *capture.Event) { r.out = append(r.out, describe(ev)) }
	return r
}

func describe(ev *capture.Event) string {
	switch ev.Kind {
	case capture.Open:
		return fmt.Sprintf("%v open %s %s fresh=%v role=%v", ev.Conn, ev.Info.Comm, ev.Info.Library, ev.Info.Fresh, ev.Info.Role)
	case capture.Close:
		return fmt.Sprintf("%v close", ev.Conn)
	case capture.Lost:
		return fmt.Sprintf("%v %v lost %d+%d", ev.Conn, ev.Direction, ev.Offset, ev.Length)
	case capture.Unsent:
		return fmt.Sprintf("%v %v unsent %d+%d", ev.Conn, ev.Direction, ev.Offset, ev.Length)
	case capture.Data:
		return fmt.Sprintf("%v %v %d+%d %q", ev.Conn, ev.Direction, ev.Offset, ev.Length, ev.Data)
	}
	return fmt.Sprint(ev.Kind)
}

const (
	thread = 7<<32 | 7
	handle = 0x1000
)

func opened(gen uint64) *bpf.Record {
	r := &bpf.Record{Kind: bpf.RecordOpen, PID: 7, TID: 7, Thread: thread, Handle: handle, Gen: gen}
	copy(r.Open.Comm[:], "nginx\x00junk")
	r.Open.Library, r.Open.Role, r.Open.Fresh = 3, 2, true
	return r
}

func moved(gen uint64, dir uint8, pos uint64, data string) *bpf.Record {
	return &bpf.Record{
		Kind: bpf.RecordData, Dir: dir, Flags: bpf.RecordLast, PID: 7, TID: 7, Thread: thread, Handle: handle, Gen: gen,
		Pos: pos, Len: uint64(len(data)), Data: []byte(data),
	}
}

func (r *rig) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.out, want) {
		t.Errorf("got\n%q\nwant\n%q", r.out, want)
	}
}

func TestConnectionLife(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	r.record(moved(1, bpf.DirRecv, 0, "hello"))
	r.record(moved(1, bpf.DirSend, 0, "you"))
	r.record(&bpf.Record{Kind: bpf.RecordClose, Thread: thread, Handle: handle, Gen: 1, Pos: 3, Len: 5})
	r.record(opened(2)) // the handle is used again
	r.want(t,
		`c1 open nginx lib3 fresh=true role=server`, `c1 recv 0+5 "hello"`, `c1 send 0+3 "you"`, `c1 close`,
		`c2 open nginx lib3 fresh=true role=server`)
}

func TestLostTail(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	r.record(moved(1, bpf.DirRecv, 0, "hello"))
	r.record(&bpf.Record{Kind: bpf.RecordClose, Thread: thread, Handle: handle, Gen: 1, Pos: 10, Len: 25})
	r.want(t, `c1 open nginx lib3 fresh=true role=server`, `c1 recv 0+5 "hello"`,
		`c1 send lost 0+10`, `c1 recv lost 5+20`, `c1 close`)
	if got := r.stats.snapshot().LostBytes; got != 30 {
		t.Errorf("%d lost octets counted, want 30", got)
	}
}

// TestUnsent: what a call of Go's that failed has not sent is told behind its
// octets, and loses nothing.
func TestUnsent(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	r.record(moved(1, bpf.DirSend, 0, "hello"))
	unsent := moved(1, bpf.DirSend, 3, "lo")
	unsent.Kind, unsent.Data = bpf.RecordUnsent, nil
	r.record(unsent)
	r.record(&bpf.Record{Kind: bpf.RecordClose, Thread: thread, Handle: handle, Gen: 1, Pos: 5})
	r.want(t, `c1 open nginx lib3 fresh=true role=server`, `c1 send 0+5 "hello"`, `c1 send unsent 3+2`, `c1 close`)
	if got := r.stats.snapshot().LostBytes; got != 0 {
		t.Errorf("%d lost octets counted", got)
	}
}

func TestLostInTheMiddle(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	r.record(moved(1, bpf.DirRecv, 100, "late"))
	if got := r.stats.snapshot().LostBytes; got != 100 {
		t.Errorf("%d lost octets counted, want 100", got)
	}
}

func TestOpenRecordDropped(t *testing.T) {
	r := newRig()
	r.record(moved(1, bpf.DirSend, 8, "x"))
	r.want(t, `c1 open comm7  fresh=false role=unknown`, `c1 send 8+1 "x"`)
}

func TestCloseRecordDropped(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	r.record(opened(2))
	r.want(t, `c1 open nginx lib3 fresh=true role=server`, `c1 close`, `c2 open nginx lib3 fresh=true role=server`)
}

func TestProcessEnds(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	key := bpf.ConnKey{TGID: 7, Handle: handle}
	r.state[key] = bpf.ConnState{Gen: 1, Pos: [2]uint64{4, 0}}
	r.record(&bpf.Record{Kind: bpf.RecordBegin, Thread: thread, Handle: handle, Gen: 1})
	r.record(&bpf.Record{Kind: bpf.RecordProcess, Thread: thread})
	r.want(t, `c1 open nginx lib3 fresh=true role=server`, `c1 send lost 0+4`, `c1 close`)
	if len(r.state) != 0 || len(r.conns) != 0 || len(r.byID) != 0 {
		t.Error("state of a process that has ended is still kept")
	}
}

func TestGnuTLSSendsLater(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	begin := &bpf.Record{Kind: bpf.RecordBegin, Thread: thread, Handle: handle, Gen: 1}
	tentative := moved(1, bpf.DirSend, 0, "kept")
	tentative.Kind, tentative.Flags = bpf.RecordTentative, 0
	nothing := &bpf.Record{Kind: bpf.RecordNothing, Thread: thread, Handle: handle, Gen: 1}
	commit := &bpf.Record{Kind: bpf.RecordCommit, Flags: bpf.RecordLast, Thread: thread, Handle: handle, Gen: 1, Len: 4}
	for _, rec := range []*bpf.Record{begin, tentative, nothing, begin, nothing, begin, commit} {
		r.record(rec)
	}
	r.want(t, `c1 open nginx lib3 fresh=true role=server`, `c1 send 0+4 "kept"`)
}

func TestGnuTLSSendsLaterWithItsBuffer(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	tentative := moved(1, bpf.DirSend, 0, "kept")
	tentative.Kind = bpf.RecordTentative
	r.record(tentative)
	r.record(moved(1, bpf.DirSend, 0, "kept"))
	r.want(t, `c1 open nginx lib3 fresh=true role=server`, `c1 send 0+4 "kept"`)
}

func TestFinishTellsWhatWasLost(t *testing.T) {
	r := newRig()
	r.record(opened(1))
	r.state[bpf.ConnKey{TGID: 7, Handle: handle}] = bpf.ConnState{Gen: 1, Pos: [2]uint64{0, 9}}
	r.finish(0)
	r.want(t, `c1 open nginx lib3 fresh=true role=server`, `c1 recv lost 0+9`)
}
