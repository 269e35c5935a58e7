// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ringSize is the room for notices of one processor, octets, a power of two.
// A program's start takes about 1 KiB.
const ringSize = 256 << 10

// ring receives the notices of one processor: a "dummy" perf event, which
// counts nothing and is there for what the kernel writes beside (perf_event_open(2)).
// It needs no tracefs.
type ring struct {
	fd      int
	mem     []byte
	page    *unix.PerfEventMmapPage
	data    []byte
	scratch []byte // a record that wraps around the end
}

func openRing(cpu int) (*ring, error) {
	attr := unix.PerfEventAttr{
		Type:        unix.PERF_TYPE_SOFTWARE,
		Config:      unix.PERF_COUNT_SW_DUMMY,
		Size:        uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Sample_type: unix.PERF_SAMPLE_TIME,
		Bits: unix.PerfBitMmap | unix.PerfBitMmap2 | unix.PerfBitComm | unix.PerfBitCommExec | unix.PerfBitTask |
			unix.PerfBitSampleIDAll | unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv |
			unix.PerfBitUseClockID | unix.PerfBitWatermark,
		Wakeup:  1, // octets: wake the reader for every record
		Clockid: unix.CLOCK_MONOTONIC,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	page := os.Getpagesize()
	mem, err := unix.Mmap(fd, 0, page+ringSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &ring{
		fd: fd, mem: mem, data: mem[page:],
		page: (*unix.PerfEventMmapPage)(unsafe.Pointer(&mem[0])),
	}, nil
}

func (r *ring) close() {
	_ = unix.Munmap(r.mem)
	_ = unix.Close(r.fd)
}

// drain calls f with every record that is there: type, misc and what follows
// the header, which is valid during the call.
func (r *ring) drain(f func(kind uint32, misc uint16, body []byte)) {
	const header = 8
	head, tail := atomic.LoadUint64(&r.page.Data_head), r.page.Data_tail
	mask := uint64(len(r.data) - 1)
	for head-tail >= header {
		// Records are multiples of 8 octets: a header does not wrap.
		h := r.data[tail&mask:]
		kind, misc := binary.NativeEndian.Uint32(h), binary.NativeEndian.Uint16(h[4:])
		size := uint64(binary.NativeEndian.Uint16(h[6:]))
		if size < header || size > head-tail {
			tail = head // not what a kernel writes; start anew
			break
		}
		body := h[header:min(size, uint64(len(h)))]
		if size > uint64(len(h)) {
			r.scratch = append(append(r.scratch[:0], body...), r.data[:size-uint64(len(h))]...)
			body = r.scratch
		}
		f(kind, misc, body)
		tail += size
	}
	atomic.StoreUint64(&r.page.Data_tail, tail)
}

// parseNotice translates a record, except for those that concern nobody: of
// threads' beginnings and renaming, and mappings that keep refuses.
func parseNotice(kind uint32, misc uint16, body []byte, keep func(path []byte, inode uint64) bool) (n notice, ok bool) {
	const commExec = 1 << 13 // PERF_RECORD_MISC_COMM_EXEC
	u32 := func(at int) uint32 { return binary.NativeEndian.Uint32(body[at:]) }
	u64 := func(at int) uint64 { return binary.NativeEndian.Uint64(body[at:]) }
	if len(body) < 16 {
		return n, false
	}
	n.pid = int(int32(u32(0)))
	end := len(body) - 8
	n.time = int64(u64(end))
	switch kind {
	case unix.PERF_RECORD_FORK, unix.PERF_RECORD_EXIT:
		if end < 24 {
			return n, false
		}
		n.ppid, n.tid = int(int32(u32(4))), int(int32(u32(8)))
		n.kind = noticeFork
		if kind == unix.PERF_RECORD_EXIT {
			n.kind, n.ppid = noticeExit, 0
			return n, true
		}
		return n, n.pid != n.ppid
	case unix.PERF_RECORD_COMM:
		n.kind, n.exec, n.tid = noticeComm, misc&commExec != 0, int(int32(u32(4)))
		n.comm = string(untilNUL(body[8:end]))
		return n, n.pid == n.tid
	case unix.PERF_RECORD_MMAP2:
		if end < 64 {
			return n, false
		}
		path := untilNUL(body[64:end])
		n.kind, n.tid = noticeMap, int(int32(u32(4)))
		n.m.start, n.m.end = u64(8), u64(8)+u64(16)
		n.m.major, n.m.minor, n.m.inode = u32(32), u32(36), u64(40)
		if len(path) == 0 || path[0] != '/' || !keep(bytes.TrimSuffix(path, []byte(deletedSuffix)), n.m.inode) {
			return n, false
		}
		n.m.path = string(path)
		return n, true
	}
	return n, false
}

func untilNUL(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

// parseLost returns the number of records that did not find room.
func parseLost(kind uint32, body []byte) uint64 {
	if kind != unix.PERF_RECORD_LOST || len(body) < 16 {
		return 0
	}
	return binary.NativeEndian.Uint64(body[8:])
}
