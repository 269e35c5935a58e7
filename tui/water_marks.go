// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/content"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// markKey names a stream.
type markKey struct {
	conn   capture.ConnID
	stream uint32
}

// streamMarks are the gRPC messages of a stream.
type streamMarks struct {
	frames uint64  // of the stream when they were looked for
	times  []int64 // at which the messages begin
}

const (
	// maxMarkRows is how many rows of a stream are read for its messages,
	// maxMarks how many messages of it are marked.
	maxMarkRows = 1024
	maxMarks    = 512
	// openingRows is in how many of the first rows of a stream it is looked up whether
	// it carries gRPC.
	openingRows = 5
	// maxMarked is for how many streams messages are remembered.
	maxMarked = 4096
)

// findMarks has the gRPC messages of the streams in sight looked for, as far as
// there are new frames; those found before stay until then. Streams that go on
// are not looked at again all the time.
func (p *streamPane) findMarks(m *Model) {
	w := &p.water
	missing := map[markKey]uint64{}
	w.late = time.Since(w.soughtAt) < 10*w.sought
	for i := range p.streams {
		t := &p.streams[i]
		if t.Method != "POST" && t.Method != "" || t.Frames == 0 {
			continue // gRPC is POST
		}
		k := markKey{t.Conn, t.ID}
		have, ok := w.marks[k]
		if have.frames != t.Frames {
			missing[k] = t.Frames
			w.late = w.late && ok
		}
	}
	if len(missing) == 0 {
		w.late = false
	}
	if len(missing) == 0 || w.late || m.works[workMarks].work != nil {
		return
	}
	begin := time.Now()
	st := m.st
	beginOnce(m, workMarks, &work{}, func(ctx context.Context) map[markKey]streamMarks {
		found := make(map[markKey]streamMarks, len(missing))
		for k, frames := range missing {
			if ctx.Err() != nil {
				break
			}
			v := store.View{Conn: k.conn, Stream: k.stream, HasStream: true}
			first, _ := st.Span(v)
			found[k] = streamMarks{frames, messageTimes(st.Rows(v, first, maxMarkRows))}
		}
		return found
	}, func(m *Model, found map[markKey]streamMarks) {
		if w.marks == nil || len(w.marks) > maxMarked {
			w.marks = make(map[markKey]streamMarks)
		}
		maps.Copy(w.marks, found)
		w.soughtAt = time.Now()
		w.sought = w.soughtAt.Sub(begin)
		p.page = pageKey{}
		m.refresh()
	})
}

func saysGRPC(e store.Entry) bool {
	media, _ := content.Lookup(e.Fields, "content-type")
	return strings.HasPrefix(media, "application/grpc")
}

// messageTimes gives the times at which gRPC messages begin in the first rows of
// a stream; none if it carries no gRPC.
func messageTimes(rows []store.Entry) (times []int64) {
	if !slices.ContainsFunc(rows[:min(len(rows), openingRows)], saysGRPC) {
		return nil
	}
	var left [2]uint64 // octets of the message in progress, by direction
	var prefix [2][]byte
	for i := range rows {
		e := &rows[i]
		if e.Header.Type != http2.FrameData || e.Kind != decode.RowFrame {
			continue
		}
		d := e.Direction & 1
		p, _ := decode.ParsePayload(e.Header, e.Payload)
		data := p.Data
		if e.Missing > 0 || uint32(len(e.Payload)) < e.Header.Length {
			return times // where the next one begins is not known
		}
		for len(data) > 0 && len(times) < maxMarks {
			if left[d] > 0 {
				n := min(left[d], uint64(len(data)))
				left[d] -= n
				data = data[n:]
				continue
			}
			if len(prefix[d]) == 0 {
				times = append(times, e.Time)
			}
			n := min(5-len(prefix[d]), len(data))
			prefix[d] = append(prefix[d], data[:n]...)
			data = data[n:]
			if len(prefix[d]) == 5 {
				left[d] = uint64(binary.BigEndian.Uint32(prefix[d][1:]))
				prefix[d] = prefix[d][:0]
			}
		}
	}
	return times
}
