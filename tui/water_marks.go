// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"encoding/binary"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/content"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// markKey names the state of a stream that its gRPC messages were looked for
// in.
type markKey struct {
	conn   capture.ConnID
	stream uint32
	frames uint64
}

const (
	// maxMarkRows is how many rows of a stream are read for its messages,
	// maxMarks how many messages of it are marked.
	maxMarkRows = 1024
	maxMarks    = 512
)

// marksKey is what the worker looks for: the messages of some streams.
type marksKey struct{ from, generation uint64 }

// findMarks has the gRPC messages of the streams in sight looked for.
func (w *waterfall) findMarks(st *store.Store, streams []store.StreamSummary, generation uint64) {
	var missing []markKey
	for i := range streams {
		t := &streams[i]
		if t.Method != "POST" && t.Method != "" || t.Frames == 0 {
			continue // gRPC is POST
		}
		k := markKey{t.Conn, t.ID, t.Frames}
		if _, ok := w.marks[k]; !ok {
			missing = append(missing, k)
		}
	}
	if len(missing) == 0 {
		return
	}
	w.work.want(marksKey{missing[0].frames, generation}, func(t *task) any {
		found := make(map[markKey][]int64, len(missing))
		for _, k := range missing {
			if t.stopped() {
				break
			}
			found[k] = grpcMarks(st, k)
		}
		return found
	})
}

// maxMarked is for how many states of streams messages are remembered.
const maxMarked = 4096

// found takes what the worker found.
func (w *waterfall) found(marks map[markKey][]int64) {
	if w.marks == nil || len(w.marks) > maxMarked {
		w.marks = make(map[markKey][]int64)
	}
	for k, v := range marks {
		w.marks[k] = v
	}
}

// grpcMarks gives the times at which gRPC messages of a stream begin; none if
// it carries no gRPC.
func grpcMarks(st *store.Store, k markKey) (times []int64) {
	v := store.View{Conn: k.conn, Stream: k.stream, HasStream: true}
	first, _ := st.Span(v)
	var left [2]uint64 // octets of the message in progress, by direction
	var prefix [2][]byte
	grpc := false
	for i, e := range st.Rows(v, first, maxMarkRows) {
		if e.HasFields && !grpc {
			media, _ := content.Lookup(e.Fields, "content-type")
			grpc = strings.HasPrefix(media, "application/grpc")
		}
		if !grpc && i >= 4 {
			return nil
		}
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
	if !grpc {
		return nil
	}
	return times
}
