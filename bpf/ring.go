// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Ring reads a ring buffer of the kernel. Each record is copied out and its room
// given back at once. Reading it where it lies took h2sniff less, but programs that
// send much more (docs/performance.md). Next is for one goroutine, Finish and Close
// for any.
//
// The layout is that of kernel/bpf/ringbuf.c: a page with the consumer's position,
// one with the producer's, and the data, mapped twice so that no record is split.
// Each record has a header, and is padded to 8 octets.
type Ring struct {
	data               []byte // twice
	consumer, producer *uint64
	size               uint64
	next               uint64 // position behind the record that was given last
	record             []byte // that record

	mu          sync.RWMutex // held to close epoll and wake, shared to use them
	epoll, wake int
	finishing   atomic.Bool
	closed      atomic.Bool
}

// ErrFinished says that the records that were there at Finish have been read.
var ErrFinished = errors.New("the ring buffer was read to its end")

const (
	ringHeader    = 8
	ringBusy      = 1 << 31 // BPF_RINGBUF_BUSY_BIT
	ringDiscarded = 1 << 30 // BPF_RINGBUF_DISCARD_BIT
)

// OpenRing maps the ring buffer. The map must stay open until Close.
func OpenRing(m *ebpf.Map) (*Ring, error) {
	page := os.Getpagesize()
	r := &Ring{size: uint64(m.MaxEntries()), epoll: -1, wake: -1}
	if m.Type() != ebpf.RingBuf || r.size == 0 || r.size&(r.size-1) != 0 {
		return nil, fmt.Errorf("a map of type %v with %d octets is no ring buffer", m.Type(), r.size)
	}
	consumer, err := unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the ring buffer's position: %w", err)
	}
	producer, err := unix.Mmap(m.FD(), int64(page), page+2*int(r.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("mapping the ring buffer: %w", err), unix.Munmap(consumer))
	}
	// Not by Close: Next may be in use still.
	runtime.AddCleanup(r, func(mapped [2][]byte) {
		unix.Munmap(mapped[0])
		unix.Munmap(mapped[1])
	}, [2][]byte{consumer, producer})
	r.consumer, r.producer = (*uint64)(unsafe.Pointer(&consumer[0])), (*uint64)(unsafe.Pointer(&producer[0]))
	r.data = producer[page:]
	r.next = atomic.LoadUint64(r.consumer)
	if err := r.openPoll(m.FD()); err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for the ring buffer: %w", err), r.closePoll())
	}
	return r, nil
}

func (r *Ring) openPoll(fd int) (err error) {
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	for _, fd := range []int{fd, r.wake} {
		if err := unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Ring) closePoll() error {
	var err error
	for _, fd := range []int{r.epoll, r.wake} {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
	}
	return err
}

// Next gives the next record, which is valid until the next call. Where none is
// there, Next waits until one wakes it or the time is over, and looks once more: then
// the error is os.ErrDeadlineExceeded. Behind Finish it is ErrFinished at the end,
// behind Close os.ErrClosed.
func (r *Ring) Next(wait time.Duration) ([]byte, error) {
	for waited := false; ; {
		if r.closed.Load() {
			return nil, os.ErrClosed
		}
		finishing := r.finishing.Load() // before the look, which then sees all
		switch record, err := r.look(); {
		case record != nil || err != nil:
			return record, err
		case finishing:
			return nil, ErrFinished
		case waited:
			return nil, os.ErrDeadlineExceeded
		}
		if err := r.poll(wait); err != nil {
			return nil, err
		}
		waited = true
	}
}

// look gives the record at the place reached, nil if there is none.
func (r *Ring) look() ([]byte, error) {
	for {
		left := atomic.LoadUint64(r.producer) - r.next
		if left == 0 {
			return nil, nil
		}
		at := r.next & (r.size - 1)
		header := r.header(at)
		for tries := 0; header&ringBusy != 0; header = r.header(at) {
			// It is being written: about a microsecond, or more where a page is
			// copied or the program is not running just now.
			if tries++; tries > 100 {
				time.Sleep(20 * time.Microsecond)
			}
			if r.closed.Load() {
				return nil, os.ErrClosed
			}
		}
		length := uint64(header &^ (ringBusy | ringDiscarded))
		whole := ringHeader + (length+7)&^7
		if whole > left {
			return nil, fmt.Errorf("ring buffer record of %d octets: %w", length, io.ErrUnexpectedEOF)
		}
		r.next += whole
		discarded := header&ringDiscarded != 0
		if !discarded {
			r.record = append(r.record[:0], r.data[at+ringHeader:][:length]...)
		}
		atomic.StoreUint64(r.consumer, r.next)
		if !discarded {
			return r.record, nil
		}
	}
}

// header is loaded before what it says is there.
func (r *Ring) header(at uint64) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
}

func (r *Ring) poll(wait time.Duration) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed.Load() {
		return os.ErrClosed
	}
	var events [2]unix.EpollEvent
	_, err := unix.EpollWait(r.epoll, events[:], int(wait.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("waiting for the ring buffer: %w", err)
	}
	return nil
}

// Written is the position behind all records that were begun until now. A record
// that Next gives is behind it once Reached is.
func (r *Ring) Written() uint64 { return atomic.LoadUint64(r.producer) }

// Reached is the position behind the record that Next gave last. It is for the
// goroutine that calls Next.
func (r *Ring) Reached() uint64 { return r.next }

// Finish makes Next return what is there and then ErrFinished.
func (r *Ring) Finish() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed.Load() {
		return nil
	}
	r.finishing.Store(true)
	return r.wakeUp()
}

// Close ends a Next that waits.
func (r *Ring) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	err := r.wakeUp()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, r.closePoll())
}

func (r *Ring) wakeUp() error {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	if _, err := unix.Write(r.wake, one); err != nil {
		return fmt.Errorf("waking the reader of the ring buffer: %w", err)
	}
	return nil
}
