// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

const forceWakeup, noWakeup = 1 << 1, 1 << 0 // BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP

// ringWriter puts records into a ring buffer of 1 page.
type ringWriter struct {
	t    *testing.T
	ring *ebpf.Map
}

func newRingWriter(t *testing.T) *ringWriter {
	t.Helper()
	needRoot(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return &ringWriter{t, m}
}

// run runs a program once that is given a packet. It must return 0.
func (w *ringWriter) run(packet []byte, code ...asm.Instruction) {
	w.t.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: code})
	if err != nil {
		w.t.Fatalf("%+v", err)
	}
	defer p.Close()
	if result, err := p.Run(&ebpf.RunOptions{Data: packet}); err != nil || result != 0 {
		w.t.Fatalf("the program gives %d, %v", result, err)
	}
}

// write puts a record into the ring buffer.
func (w *ringWriter) write(record []byte, flags int32) {
	w.t.Helper()
	const ethernet = 14 // which a packet has at least, and a socket filter does not see
	n := int32(len(record))
	room := -(n + 7) &^ 7
	w.run(append(make([]byte, ethernet), record...),
		asm.Mov.Imm(asm.R2, 0), asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, room), asm.Mov.Imm(asm.R4, n),
		asm.FnSkbLoadBytes.Call(), asm.JNE.Imm(asm.R0, 0, "end"),
		asm.LoadMapPtr(asm.R1, w.ring.FD()), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, room),
		asm.Mov.Imm(asm.R3, n), asm.Mov.Imm(asm.R4, flags), asm.FnRingbufOutput.Call(),
		asm.Return().WithSymbol("end"))
}

// discard reserves a record and gives it up.
func (w *ringWriter) discard() {
	w.t.Helper()
	w.run(make([]byte, 64),
		asm.LoadMapPtr(asm.R1, w.ring.FD()), asm.Mov.Imm(asm.R2, 40), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
		asm.JNE.Imm(asm.R0, 0, "reserved"), asm.Mov.Imm(asm.R0, 1), asm.Return(),
		asm.Mov.Reg(asm.R1, asm.R0).WithSymbol("reserved"), asm.Mov.Imm(asm.R2, noWakeup), asm.FnRingbufDiscard.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return())
}

func (w *ringWriter) open() *Ring {
	w.t.Helper()
	r, err := OpenRing(w.ring)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { r.Close() })
	return r
}

// TestRing reads records of all lengths modulo 8, some turns of the ring buffer
// long, between others that were given up.
func TestRing(t *testing.T) {
	w := newRingWriter(t)
	r := w.open()
	for i := range 3 * os.Getpagesize() / 256 {
		record := bytes.Repeat([]byte{byte(i)}, 200+i%16)
		w.discard()
		w.write(record, noWakeup)
		for _, want := range [][]byte{record, nil} {
			got, err := r.Next(0)
			if !bytes.Equal(got, want) || (want == nil) != errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("record %d: got %d octets, %v, want %d", i, len(got), err, len(want))
			}
		}
	}
}

// TestRingRoom: a record that is in use is not written over.
func TestRingRoom(t *testing.T) {
	w := newRingWriter(t)
	r := w.open()
	w.write(bytes.Repeat([]byte{'a'}, 300), noWakeup)
	got, err := r.Next(0)
	if err != nil {
		t.Fatal(err)
	}
	for range os.Getpagesize()/300 - 2 {
		w.write(bytes.Repeat([]byte{'b'}, 300-8), noWakeup)
	}
	if want := bytes.Repeat([]byte{'a'}, 300); !bytes.Equal(got, want) {
		t.Errorf("the record was written over: %q", got)
	}
}

func TestRingFinish(t *testing.T) {
	w := newRingWriter(t)
	r := w.open()
	w.write([]byte("abc"), noWakeup)
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Next(time.Hour); string(got) != "abc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := r.Next(time.Hour); got != nil || !errors.Is(err, ErrFinished) {
		t.Errorf("got %q, %v, want ErrFinished", got, err)
	}
}

// TestRingWakes: a Next that waits for an hour does not, where it is woken.
func TestRingWakes(t *testing.T) {
	w := newRingWriter(t)
	for name, test := range map[string]struct {
		wake func(*Ring) error
		want error
	}{
		"by a record": {func(*Ring) error { w.write([]byte("abc"), forceWakeup); return nil }, nil},
		"by Finish":   {(*Ring).Finish, ErrFinished},
		"by Close":    {(*Ring).Close, os.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.open()
			result := make(chan error)
			go func() {
				_, err := r.Next(time.Hour)
				result <- err
			}()
			runtime.Gosched()
			if err := test.wake(r); err != nil {
				t.Error(err)
			}
			if err := <-result; !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err := errors.Join(r.Finish(), r.Close(), r.Close()); err != nil {
				t.Errorf("behind it: %v", err)
			}
			if _, err := r.Next(0); !errors.Is(err, os.ErrClosed) {
				t.Errorf("a closed ring gives %v", err)
			}
		})
	}
}
