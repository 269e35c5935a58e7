// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"encoding/hex"
	"net/netip"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// json appends the object of a row. docs/json.md documents it; keys are added,
// never changed.
func (w *Writer) json(b []byte, e *store.Entry, c *store.ConnSummary) []byte {
	j := encoder{b: b, second: &w.second}
	j.open('{')
	j.string("kind", e.Kind.String())
	j.uint("seq", e.Seq)
	j.time("time", e.Time)
	j.seconds("elapsed", e.Time-w.o.Start)
	j.key("conn")
	j.b = append(e.Conn.Append(append(j.b, '"')), '"')
	j.process(e, c)
	j.addresses(e, c)
	switch e.Kind {
	case decode.RowFrame:
		j.string("dir", e.Direction.String())
		j.frame(e, w.o.Body, w.o.Verbose)
	case decode.RowGap:
		j.string("dir", e.Direction.String())
		j.uint("bytes", e.GapBytes)
		j.string("reason", e.GapReason.String())
	case decode.RowPreface:
		j.string("dir", e.Direction.String())
	case decode.RowProtocol:
		if e.OneWay {
			j.string("dir", e.Direction.String())
		}
		j.string("protocol", e.Protocol.String())
	}
	j.close('}')
	return append(j.b, '\n')
}

func jsonMissed(b []byte, rows uint64) []byte {
	j := encoder{b: b}
	j.open('{')
	j.string("kind", "missed")
	j.uint("rows", rows)
	j.close('}')
	return append(j.b, '\n')
}

func jsonUnfollowed(b []byte, u Unfollowed) []byte {
	j := encoder{b: b}
	j.open('{')
	j.string("kind", "unfollowed")
	j.uint("processes", u.Processes)
	if u.AtLeast {
		j.bool("at_least", true)
	}
	if u.Late > 0 {
		j.uint("late", u.Late)
		j.seconds("late_by", u.LateBy.Nanoseconds())
	}
	j.close('}')
	return append(j.b, '\n')
}

func (j *encoder) time(key string, t int64) {
	j.key(key)
	whole, ns := t/1e9, t%1e9
	if ns < 0 {
		whole, ns = whole-1, ns+1e9
	}
	j.b = append(j.b, '"')
	j.b = j.second.append(j.b, whole)
	j.b = append(appendNanos(append(j.b, '.'), uint64(ns)), `Z"`...)
}

// second is the text of the second that was written last: most rows are of the
// same.
type second struct {
	unix int64
	text []byte
}

func (s *second) append(b []byte, unix int64) []byte {
	if s.text == nil || s.unix != unix {
		s.unix = unix
		s.text = time.Unix(unix, 0).UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05")
	}
	return append(b, s.text...)
}

func (j *encoder) process(e *store.Entry, c *store.ConnSummary) {
	info := &c.Info
	if e.Info != nil {
		info = e.Info
	}
	if info.PID != 0 {
		j.uint("pid", uint64(info.PID))
	}
	tid := e.TID
	if tid == 0 && e.Info != nil {
		tid = e.Info.TID
	}
	if tid != 0 {
		j.uint("tid", uint64(tid))
	}
	if info.Comm != "" {
		j.lossy("comm", info.Comm)
	}
	if info.Library != "" {
		j.lossy("library", info.Library)
	}
	if info.Container != "" {
		j.lossy("container", info.Container)
	}
	if r := role(e, c); r != capture.RoleUnknown {
		j.string("role", r.String())
	}
	if e.Info != nil {
		j.bool("fresh", e.Info.Fresh)
	}
}

func (j *encoder) addresses(e *store.Entry, c *store.ConnSummary) {
	local, remote, evidence := c.Local, c.Remote, c.Evidence
	if e.Binding != nil {
		local, remote, evidence = e.Binding.Local, e.Binding.Remote, e.Binding.Evidence
	}
	if evidence != capture.Withdrawn {
		j.address("local", local)
		j.address("remote", remote)
		if c.Peer != 0 {
			j.string("peer", c.Peer.String())
		}
	}
	if e.Binding != nil {
		j.string("address", evidence.String())
	}
}

func (j *encoder) address(key string, a netip.AddrPort) {
	if a.IsValid() {
		j.lossy(key, a.String())
	}
}

func (j *encoder) frame(e *store.Entry, body, verbose bool) {
	h := &e.Header
	j.time("time_end", e.TimeEnd)
	j.string("type", decode.TypeName(h.Type))
	j.uint("type_code", uint64(h.Type))
	j.key("flags")
	j.open('[')
	for name := range decode.EachFlag(h.Type, h.Flags) {
		j.element()
		j.quote(name)
	}
	j.close(']')
	j.uint("flags_code", uint64(h.Flags))
	j.uint("stream", uint64(h.StreamID))
	j.uint("length", uint64(h.Length))
	c := parse(e)
	j.number(&c, padLength, "pad_length", uint64(c.PadLength))
	if e.HasFields {
		j.key("headers")
		j.open('[')
		for i := range e.Fields {
			j.field(&e.Fields[i], verbose)
		}
		j.close(']')
		if e.BlockSeq != 0 {
			j.uint("block_seq", e.BlockSeq)
		}
	}
	if verbose && e.Table != nil {
		j.table(e.Table)
	}
	j.payload(&c, body)
	if e.Missing > 0 {
		j.uint("missing", uint64(e.Missing))
	}
	if e.Err != nil {
		j.lossy("error", reason(e.Err))
	}
}

func (j *encoder) field(f *decode.Field, verbose bool) {
	name, value := known(f)
	j.element()
	j.open('{')
	if name {
		j.text("name", f.Name)
	}
	if value {
		j.text("value", f.Value)
	}
	j.string("trust", f.Trust.String())
	if f.Trust != decode.TrustExact {
		j.int("unknown", f.Unknown)
		j.uint("epoch", uint64(f.Epoch))
	}
	if f.Sensitive {
		j.bool("sensitive", true)
	}
	if verbose && f.Encoding.Form() != decode.FormUnknown {
		j.encoding(f.Encoding)
	}
	j.close('}')
}

func (j *encoder) encoding(e decode.Encoding) {
	j.key("encoding")
	j.open('{')
	j.string("form", e.Form().String())
	literal := e.Form() != decode.FormIndexed
	switch {
	case e.Static():
		j.uint("index", uint64(e.Index()))
		j.string("table", "static")
	case e.Index() != 0:
		j.uint("index", uint64(e.Index()))
		j.string("table", "dynamic")
	case literal:
		j.bool("name_huffman", e.NameHuffman())
	}
	if literal {
		j.bool("value_huffman", e.ValueHuffman())
	}
	j.uint("octets", uint64(e.Octets()))
	j.close('}')
}

func (j *encoder) table(t *decode.TableState) {
	j.key("dynamic_table")
	j.open('{')
	j.int("inserted", t.Inserted)
	j.uint("added", uint64(t.Added))
	j.uint("evicted", uint64(t.Evicted))
	j.uint("held", uint64(t.Held))
	j.uint("size", t.Size)
	if !t.MaxAssumed {
		j.uint("capacity", t.Max)
	}
	j.bool("complete", t.Complete)
	j.uint("epoch", uint64(t.Epoch))
	j.close('}')
}

// payload appends what is in the payload beside padding and field section.
func (j *encoder) payload(c *contents, body bool) {
	if c.has&settings != 0 {
		j.key("settings")
		j.open('[')
		for _, s := range c.Settings {
			j.element()
			j.open('{')
			j.uint("id", uint64(s.ID))
			j.string("name", decode.SettingName(s.ID))
			j.uint("value", uint64(s.Value))
			j.close('}')
		}
		j.close(']')
	}
	if c.has&errorCode != 0 {
		j.uint("error_code", uint64(c.ErrorCode))
		j.string("error_name", decode.ErrorName(uint32(c.ErrorCode)))
	}
	j.number(c, lastStream, "last_stream", uint64(c.LastStream))
	j.number(c, increment, "increment", uint64(c.Increment))
	j.number(c, promisedStream, "promised_stream", uint64(c.PromisedStream))
	if p := c.Priority; p != nil {
		j.key("priority")
		j.open('{')
		j.bool("exclusive", p.Exclusive)
		j.uint("stream_dependency", uint64(p.StreamDep))
		j.uint("weight", uint64(p.Weight))
		j.close('}')
	}
	if c.has&ping != 0 {
		j.string("ping", hex.EncodeToString(c.Ping[:]))
	}
	if c.has&lastStream != 0 {
		j.text("debug_data", string(c.DebugData))
	}
	if c.has&altSvc != 0 {
		j.key("alt_svc")
		j.open('{')
		j.text("origin", c.AltSvc.Origin)
		j.text("value", c.AltSvc.Value)
		j.close('}')
	}
	if c.has&origins != 0 {
		j.texts("origins", c.Origins)
	}
	j.number(c, prioritizedStream, "prioritized_stream", uint64(c.PrioritizedStream))
	if c.has&priorityField != 0 {
		j.text("priority_field", c.PriorityField)
	}
	if c.has&data != 0 && body {
		j.base64("data", c.Data)
	}
	if c.has&unknown != 0 {
		j.base64("payload", c.Unknown)
	}
}

func (j *encoder) number(c *contents, p part, key string, v uint64) {
	if c.has&p != 0 {
		j.uint(key, v)
	}
}
