// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"

	"h2sniff/capture"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frame is what tshark is to say of a frame.
type frame struct {
	typ    http2.FrameType
	length uint32
	flags  http2.Flags
	stream uint32
}

// h2conn makes up the two sides of an HTTP/2 connection, as events and as the
// frames that are in them.
type h2conn struct {
	id     capture.ConnID
	role   capture.Role
	rng    *rand.Rand
	pos    [2]uint64
	frames [2][]frame // by capture.Direction
	buf    [2]bytes.Buffer
	fr     [2]*http2.Framer
	enc    [2]*hpack.Encoder
	block  bytes.Buffer
	time   int64
	events []capture.Event
}

func newH2conn(id capture.ConnID, role capture.Role, rng *rand.Rand) *h2conn {
	c := &h2conn{id: id, role: role, rng: rng, time: 1.8e18 + int64(id)}
	for d := range c.fr {
		c.fr[d] = http2.NewFramer(&c.buf[d], nil)
		c.enc[d] = hpack.NewEncoder(&c.block)
	}
	c.events = append(c.events, capture.Event{
		Kind: capture.Open, Conn: id, TID: 100, Time: c.time,
		Info: &capture.ConnInfo{PID: 100, TID: 100, Comm: "test", Library: "/lib/libssl.so.3", Role: role, Fresh: true},
	})
	c.buf[c.client()].WriteString(http2.ClientPreface)
	return c
}

// client is the direction in which requests go.
func (c *h2conn) client() capture.Direction {
	if c.role == capture.Server {
		return capture.Recv
	}
	return capture.Send
}

func (c *h2conn) bind(local, remote string, e capture.Evidence) {
	b := &capture.Binding{Evidence: e}
	if local != "" {
		b.Local, b.Remote = netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	}
	c.events = append(c.events, capture.Event{Kind: capture.Bind, Conn: c.id, TID: 100, Time: c.time, Binding: b})
}

func (c *h2conn) close() {
	c.events = append(c.events, capture.Event{Kind: capture.Close, Conn: c.id, TID: 100, Time: c.time})
}

// note takes the frames that were written to buf[d] since at.
func (c *h2conn) note(d capture.Direction, at int) {
	b := c.buf[d].Bytes()[at:]
	for len(b) > 0 {
		h := frame{
			length: binary.BigEndian.Uint32(b) >> 8, typ: http2.FrameType(b[3]),
			flags: http2.Flags(b[4]), stream: binary.BigEndian.Uint32(b[5:]),
		}
		c.frames[d] = append(c.frames[d], h)
		b = b[9+h.length:]
	}
}

func (c *h2conn) fields(d capture.Direction, fields ...string) []byte {
	c.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = c.enc[d].WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return c.block.Bytes()
}

// exchange writes a request and its response with size octets, and frames of
// the other types between them. Writes to a buffer do not fail.
func (c *h2conn) exchange(stream uint32, size int) {
	req, resp := c.client(), c.client().Reverse()
	at := [2]int{c.buf[0].Len(), c.buf[1].Len()}
	if stream == 1 {
		at[req] = len(http2.ClientPreface)
		_ = c.fr[req].WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		_ = c.fr[resp].WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		_ = c.fr[req].WriteSettingsAck()
		_ = c.fr[resp].WriteSettingsAck()
		_ = c.fr[req].WriteWindowUpdate(0, 1<<20)
	}
	_ = c.fr[req].WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, EndStream: true, EndHeaders: true, PadLength: uint8(c.rng.IntN(3)),
		BlockFragment: c.fields(req, ":method", "GET", ":scheme", "https", ":authority", "h2.test", ":path", "/"+strconv.Itoa(int(stream)), "x-conn", c.id.String()),
	})
	_ = c.fr[req].WritePing(false, [8]byte{1, 2, 3})
	_ = c.fr[resp].WritePing(true, [8]byte{1, 2, 3})
	block := c.fields(resp, ":status", "200", "content-length", strconv.Itoa(size), "x-long", fmt.Sprintf("%0*d", 60, stream))
	cut := len(block) / 2
	_ = c.fr[resp].WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block[:cut]})
	_ = c.fr[resp].WriteContinuation(stream, true, block[cut:])
	for left := size; ; left -= 16384 {
		n := min(left, 16384)
		_ = c.fr[resp].WriteData(stream, n == left, bytes.Repeat([]byte("data"), n/4+1)[:n])
		if n == left {
			break
		}
	}
	if stream%4 == 3 {
		_ = c.fr[req].WriteRSTStream(stream, http2.ErrCodeCancel)
	}
	c.note(req, at[req])
	c.note(resp, at[resp])
}

// cut makes events of what was written, of at most size octets each.
func (c *h2conn) cut(size int) {
	for _, d := range []capture.Direction{c.client(), c.client().Reverse()} {
		for c.buf[d].Len() > 0 {
			c.time += 1000
			n := 1 + c.rng.IntN(size)
			if c.pos[d] == 0 {
				// tshark takes a preface that is split between segments for
				// the header of a frame of 5 MiB.
				n = max(n, len(http2.ClientPreface))
			}
			b := bytes.Clone(c.buf[d].Next(n))
			tid := uint32(100 + c.rng.IntN(20)/19)
			c.events = append(c.events, capture.Event{
				Kind: capture.Data, Direction: d, Conn: c.id, TID: tid, Time: c.time,
				Offset: c.pos[d], Length: uint64(len(b)), Data: b,
			})
			c.pos[d] += uint64(len(b))
		}
	}
}

// interleave puts the events of several connections into one sequence that
// keeps each connection's order.
func interleave(rng *rand.Rand, conns []*h2conn) []capture.Event {
	var events []capture.Event
	at := make([]int, len(conns))
	var live []int
	for i := range conns {
		live = append(live, i)
	}
	for len(live) > 0 {
		k := rng.IntN(len(live))
		i := live[k]
		for n := rng.IntN(4); n >= 0 && at[i] < len(conns[i].events); n-- {
			events = append(events, conns[i].events[at[i]])
			at[i]++
		}
		if at[i] == len(conns[i].events) {
			live = append(live[:k], live[k+1:]...)
		}
	}
	return events
}
