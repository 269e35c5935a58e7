// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
)

// WebSocket opcodes (RFC 6455, section 11.8).
var opcodes = map[byte]string{0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

// isWebSocket tells whether a stream is a WebSocket connection (RFC 8441,
// section 5) as far as both ends agreed on it.
func isWebSocket(m *Message) bool {
	protocol, p := Lookup(m.Request, ":protocol")
	if p != Present || !strings.EqualFold(protocol, "websocket") {
		return false
	}
	status, p := Lookup(m.Response, ":status")
	return p != Present || strings.HasPrefix(status, "2")
}

// WebSocketFrame is a frame of RFC 6455, section 5.2.
type WebSocketFrame struct {
	Fin    bool
	RSV    byte // the three reserved bits, RSV1 being 4
	Opcode byte
	Masked bool
	Length uint64 // of the payload, as the frame says
	// Payload is unmasked, as far as it is there; its holes are listed. It
	// has Ended set where it is accounted for to its end.
	Payload Body
	First   uint64 // Seq of the DATA frame that it begins in; 0 where not known
	Last    uint64
	Time    int64 // of that DATA frame
}

// webSocketFrames calls each for each frame in a body, until it returns false,
// and returns where the boundaries were lost, if they were.
func webSocketFrames(b *Body, each func(*WebSocketFrame) bool) (lost *cursor) {
	c := cursor{b: b}
	for !c.done() {
		start := c
		var head [14]byte
		n := 0
		more := func(size uint64) bool {
			part := c.cut(size)
			n += copy(head[n:], part.Data)
			return part.Ended && len(part.Holes) == 0
		}
		if !more(2) {
			return &start
		}
		f := WebSocketFrame{Fin: head[0]&0x80 != 0, RSV: head[0] >> 4 & 7, Opcode: head[0] & 15,
			Masked: head[1]&0x80 != 0, Length: uint64(head[1] & 0x7f)}
		switch f.Length {
		case 126:
			if !more(2) {
				return &start
			}
			f.Length = uint64(binary.BigEndian.Uint16(head[2:]))
		case 127:
			if !more(8) {
				return &start
			}
			f.Length = binary.BigEndian.Uint64(head[2:])
		}
		if f.Masked && !more(4) {
			return &start
		}
		f.Payload = c.cut(f.Length)
		if f.Masked {
			f.Payload.Data = unmasked(&f.Payload, head[n-4:n])
		}
		f.First, f.Last = b.frames(start.pos, c.pos)
		f.Time = b.timeAt(start.pos)
		if !f.Payload.Ended {
			f.Payload.Holes = append(f.Payload.Holes, Hole{At: len(f.Payload.Data), Reason: b.Problem()})
		}
		if !each(&f) {
			return nil
		}
	}
	return nil
}

// WebSocketFrames gives the frames of a body, up to max of them.
func WebSocketFrames(b *Body, max int) []WebSocketFrame {
	var list []WebSocketFrame
	webSocketFrames(b, func(f *WebSocketFrame) bool {
		if len(list) < max {
			list = append(list, *f)
		}
		return len(list) < max
	})
	return list
}

// IsWebSocket tells whether the stream of a message is a WebSocket connection.
func IsWebSocket(m *Message) bool { return isWebSocket(m) }

// unmasked gives the payload without the mask. The place of an octet in the
// mask counts what is missing before it.
func unmasked(b *Body, key []byte) []byte {
	out := make([]byte, len(b.Data))
	hole, shift := 0, uint64(0)
	for i, v := range b.Data {
		for hole < len(b.Holes) && b.Holes[hole].At <= i {
			shift += b.Holes[hole].Size
			hole++
		}
		out[i] = v ^ key[(uint64(i)+shift)&3]
	}
	return out
}

// webSocket adds the frames of one direction of a WebSocket connection.
func (t *builder) webSocket(parent *Part, m *Message, b *Body) {
	w := t.child(parent, KindWebSocket)
	if w == nil {
		return
	}
	inflate := newInflater(m, t.limits)
	i := 0
	lost := webSocketFrames(b, func(f *WebSocketFrame) bool {
		i++
		p := t.child(w, KindFrame)
		if p == nil {
			return false
		}
		p.Label = strconv.Itoa(i)
		p.attr("opcode", opcodeName(f.Opcode))
		p.attr("fin", strconv.FormatBool(f.Fin))
		if f.RSV != 0 {
			p.attr("rsv", fmt.Sprintf("%03b", f.RSV))
		}
		p.attr("masked", strconv.FormatBool(f.Masked))
		p.number("octets", f.Length)
		if f.First > 0 {
			p.attr("frames", seqs(f.First, f.Last))
		}
		if !f.Payload.Ended {
			p.problem(fmt.Sprintf("cut: %d of its %d octets", f.Payload.Octets, f.Length))
		}
		t.webSocketPayload(p, f, inflate)
		return true
	})
	if lost != nil {
		t.unplaced(w, *lost, "the boundary of frame "+strconv.Itoa(i+1)+" is not known")
	} else if b.Over > 0 {
		w.problem(b.Problem())
	}
}

func opcodeName(op byte) string {
	if name, ok := opcodes[op]; ok {
		return name
	}
	return fmt.Sprintf("0x%x", op)
}

func (t *builder) webSocketPayload(p *Part, f *WebSocketFrame, z *inflater) {
	if f.Opcode == 8 && len(f.Payload.Holes) == 0 && len(f.Payload.Data) >= 2 {
		p.number("code", uint64(binary.BigEndian.Uint16(f.Payload.Data)))
		t.setText(p, f.Payload.Data[2:])
		return
	}
	compressed := f.Opcode < 8 && (f.RSV&4 != 0 || f.Opcode == 0 && z.open)
	if !compressed {
		if f.Opcode >= 1 && f.Opcode < 8 {
			z.open = false
		}
		t.raw(p, &f.Payload)
		return
	}
	p.attr("compressed", "yes")
	message, problem := z.frame(f)
	p.problem(problem)
	if message != nil {
		p.number("decoded", uint64(len(message)))
		t.raw(p, &Body{Data: message, Ended: true})
	}
}

// inflater undoes permessage-deflate (RFC 7692) for one direction.
type inflater struct {
	agreed   bool // the extension was negotiated
	takeover bool // the window goes on from message to message
	limits   Limits
	open     bool // within a compressed message
	message  []byte
	window   []byte
	broken   string
}

const deflateWindow = 32 << 10

func newInflater(m *Message, l Limits) *inflater {
	z := &inflater{limits: l, takeover: true}
	value, _ := Lookup(m.Response, "sec-websocket-extensions")
	value = strings.ToLower(value)
	z.agreed = strings.Contains(value, "permessage-deflate")
	side := "client_no_context_takeover"
	if m.FromServer {
		side = "server_no_context_takeover"
	}
	z.takeover = !strings.Contains(value, side)
	return z
}

// frame takes the next frame of a compressed message and returns the message
// with its last one.
func (z *inflater) frame(f *WebSocketFrame) (message []byte, problem string) {
	z.open = !f.Fin
	switch {
	case !z.agreed:
		return nil, "RSV1 is set, but permessage-deflate was not seen to be agreed on"
	case z.broken != "":
		return nil, z.broken
	case len(f.Payload.Holes) > 0:
		z.broken = "octets of this or an earlier compressed frame are missing"
		return nil, z.broken
	case len(z.message)+len(f.Payload.Data) > z.limits.Body:
		z.broken = "this or an earlier compressed message is larger than is kept"
		return nil, z.broken
	}
	z.message = append(z.message, f.Payload.Data...)
	if !f.Fin {
		return nil, ""
	}
	in := z.message
	z.message = nil
	limit := min(z.limits.Decoded, max(ratioFrom, z.limits.Ratio*len(in)))
	message, err := inflate(in, z.window, limit+1)
	switch {
	case len(message) > limit:
		z.broken = "this or an earlier message is larger than is decoded"
		return message[:limit], fmt.Sprintf("decoding stopped at %d octets", limit)
	case err != nil:
		z.broken = "this or an earlier compressed message is damaged"
		return message, z.broken
	}
	if z.takeover {
		z.window = append(z.window, message...)
		if n := len(z.window); n > deflateWindow {
			z.window = append([]byte(nil), z.window[n-deflateWindow:]...)
		}
	}
	return message, ""
}

// inflate undoes the compression of a message, up to limit octets. A panic of the
// decoder is an error, as in decoded.
func inflate(in, window []byte, limit int) (message []byte, err error) {
	var out bytes.Buffer
	defer func() {
		message = out.Bytes()
		if v := recover(); v != nil {
			err = fmt.Errorf("the DEFLATE decoder failed: %v", v)
		}
	}()
	// The four octets that end a flush were taken off; a final block follows
	// so that the reader finds an end.
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(in), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")), window)
	defer r.Close()
	_, err = io.Copy(&out, io.LimitReader(r, int64(limit)))
	return nil, err
}
