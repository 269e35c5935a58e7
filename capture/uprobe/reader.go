// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"h2sniff/bpf"
	"h2sniff/capture"

	"golang.org/x/sys/unix"
)

// The kernel side wakes the reader only when much is queued. Otherwise it looks
// at the ring at each deadline: often while records come, seldom when none has
// come for idleAfter deadlines, so that an idle h2sniff costs next to nothing.
const (
	pollInterval     = 5 * time.Millisecond
	idlePollInterval = 30 * time.Millisecond
	idleAfter        = 100
)

// checkEvery is the number of records after which a busy reader looks for
// drops; an idle one does at each deadline.
const checkEvery = 4096

// Reader is the capture.Source of live programs. Read and Ignore are for one
// goroutine; Stats, Finish and Close for any.
type Reader struct {
	queue     *bpf.Queue
	ring      *bpf.Ring
	assembler *assembler
	stats     stats
	record    bpf.Record
	out       []capture.Event
	next      int
	records   uint64
	idle      int // deadlines since the last record
	dropped   uint64
	ends      lostEnds
	ended     bool

	// Idle, where set, is called within Read, from its goroutine, whenever
	// nothing has come for a few milliseconds. Set it before the first Read.
	Idle func()
}

// NewReader reads the ring buffer of queue, which must stay open until Close.
// library names the library that an attach cookie numbers, container gives the
// id of the container that a process runs in; they are called from the goroutine
// that calls Read.
func NewReader(queue *bpf.Queue, library, container func(uint32) string) (*Reader, error) {
	ring, err := bpf.OpenRing(queue.Events)
	if err != nil {
		return nil, err
	}
	epoch, err := bootEpoch()
	if err != nil {
		ring.Close()
		return nil, err
	}
	r := &Reader{queue: queue, ring: ring, ends: lostEnds{queue: queue, ring: ring, told: make(map[uint64]uint64)}}
	r.assembler = &assembler{
		conns:     make(map[bpf.ConnKey]*conn),
		byID:      make(map[capture.ConnID]*conn),
		addresses: newAddresses(),
		epoch:     epoch,
		library:   library,
		comm:      commOf,
		container: container,
		positions: r.positions,
		lostClose: r.lostClose,
		stats:     &r.stats,
		order:     sequencer{emit: r.emit},
	}
	return r, nil
}

// Read implements capture.Source.
func (r *Reader) Read(ev *capture.Event) error {
	for r.next == len(r.out) {
		if r.ended {
			return io.EOF
		}
		r.out, r.next = r.out[:0], 0
		if err := r.fill(); err != nil {
			return err
		}
	}
	*ev = r.out[r.next]
	r.next++
	return nil
}

func (r *Reader) fill() error {
	interval := pollInterval
	if r.idle > idleAfter {
		interval = idlePollInterval
	}
	raw, err := r.ring.Next(interval)
	switch {
	case err == nil:
		r.idle = 0
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.idle++
		r.checkDrops()
		r.ends.look(r.assembler)
		if r.Idle != nil && r.next == len(r.out) {
			r.Idle()
		}
		return nil
	case errors.Is(err, bpf.ErrFinished), errors.Is(err, os.ErrClosed):
		r.ended = true
		r.checkDrops()
		r.ends.lookAtEnd(r.assembler, r.dropped > 0)
		r.assembler.finish(time.Now().UnixNano())
		return nil
	default:
		return fmt.Errorf("reading the ring buffer: %w", err)
	}
	if err := bpf.ParseRecord(raw, &r.record); err != nil {
		return fmt.Errorf("reading the ring buffer: %w", err)
	}
	r.assembler.record(&r.record)
	if r.record.Kind == bpf.RecordProcess {
		if r.checkDrops(); r.dropped > 0 {
			r.ends.processEnded(r.record.Thread>>32, r.record.Time)
		}
	}
	if r.records++; r.records%checkEvery == 0 {
		r.checkDrops()
		r.ends.look(r.assembler)
	}
	return nil
}

func (r *Reader) emit(ev *capture.Event) {
	r.stats.add(ev)
	r.out = append(r.out, *ev)
}

// checkDrops lets go of what waits for a record that may have been dropped, and
// has the ends that were looked for.
func (r *Reader) checkDrops() {
	dropped, err := r.queue.Count(bpf.Dropped)
	if err != nil || dropped == r.dropped {
		return
	}
	r.dropped = dropped
	r.assembler.order.release()
	r.ends.due = true
}

// Ignore implements capture.Ignorer.
func (r *Reader) Ignore(id capture.ConnID) {
	c := r.assembler.byID[id]
	if c == nil {
		return
	}
	// Where it fails the connection goes on being captured, and ignored here.
	_ = r.queue.Ignored.Put(c.key, c.gen)
}

// Stats implements capture.Source.
func (r *Reader) Stats() capture.Stats {
	s := r.stats.snapshot()
	for counter, value := range map[bpf.Counter]*uint64{
		bpf.Dropped: &s.LostEvents, bpf.Unread: &s.Missed, bpf.TooDeep: &s.Missed, bpf.NoState: &s.Missed,
	} {
		if n, err := r.queue.Count(counter); err == nil {
			*value += n
		}
	}
	return s
}

// Finish makes Read return what is still queued and then io.EOF. Call it when
// no probe is attached any more.
func (r *Reader) Finish() error { return r.ring.Finish() }

// Close implements capture.Source.
func (r *Reader) Close() error { return r.ring.Close() }

func (r *Reader) positions(key bpf.ConnKey, forget bool) (state bpf.ConnState, ok bool) {
	if err := r.queue.Conns.Lookup(key, &state); err != nil {
		return state, false
	}
	if forget {
		_ = r.queue.Conns.Delete(key) // gone already: the same
	}
	return state, true
}

func (r *Reader) lostClose(key bpf.LostKey) (end bpf.LostClose, ok bool) {
	if err := r.queue.LostCloses.Lookup(key, &end); err != nil {
		return end, false
	}
	_ = r.queue.LostCloses.Delete(key) // gone already: the same
	return end, true
}

// bootEpoch is the wall-clock time, in Unix nanoseconds, at which
// CLOCK_BOOTTIME was zero.
func bootEpoch() (epoch int64, err error) {
	// The thread can be held up between two readings, on a busy machine for long:
	// the closest ones of some are taken.
	for best, tries := int64(math.MaxInt64), 0; best > int64(50*time.Microsecond) && tries < 20; tries++ {
		var before, after unix.Timespec
		err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &before)
		wall := time.Now().UnixNano()
		if err = errors.Join(err, unix.ClockGettime(unix.CLOCK_BOOTTIME, &after)); err != nil {
			return 0, fmt.Errorf("reading CLOCK_BOOTTIME: %w", err)
		}
		if apart := after.Nano() - before.Nano(); apart < best {
			best, epoch = apart, wall-before.Nano()-apart/2
		}
	}
	return epoch, nil
}

func commOf(pid uint32) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "" // the process has gone: unknown is an answer
	}
	return strings.TrimSuffix(string(b), "\n")
}

// stats are the counters behind capture.Stats.
type stats struct {
	events, bytes, lostBytes, notCopied atomic.Uint64
}

func (s *stats) add(ev *capture.Event) {
	s.events.Add(1)
	if ev.Kind == capture.Data {
		s.bytes.Add(ev.Length)
		s.notCopied.Add(ev.Length - uint64(len(ev.Data)))
	}
}

func (s *stats) snapshot() capture.Stats {
	return capture.Stats{
		Events: s.events.Load(), Bytes: s.bytes.Load(), LostBytes: s.lostBytes.Load(), NotCopied: s.notCopied.Load(),
	}
}
