// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"h2sniff/capture"
)

// What a note tells of: the values of its "event" member. Readers pass over
// events that they do not know.
const (
	noteStart      = "start"      // interface 0: the recording begins
	noteOpen       = "open"       // interface description: capture.Open
	noteHandshake  = "handshake"  // SYN: the addresses that the packets bear
	noteBind       = "bind"       // capture.Bind
	noteData       = "data"       // capture.Data, where the packet alone cannot tell
	noteLost       = "lost"       // capture.Lost
	noteUnsent     = "unsent"     // capture.Unsent
	noteClose      = "close"      // capture.Close
	noteStatistics = "statistics" // counters so far
	noteEnd        = "end"        // final counters; the recording is whole
)

// notePrefix marks the comments that belong to the form.
const notePrefix = "h2sniff: "

// A note is the JSON object in a comment. Absent members are zero.
type note struct {
	Event string         `json:"event,omitempty"`
	Conn  capture.ConnID `json:"conn,omitempty"`
	Time  *time.Time     `json:"time,omitempty"`

	// Open. TID is the thread of the event, FirstTID that of its ConnInfo.
	PID        uint32 `json:"pid,omitempty"`
	TID        uint32 `json:"tid,omitempty"`
	FirstTID   uint32 `json:"first_tid,omitempty"`
	Comm       string `json:"comm,omitempty"`
	CommB64    string `json:"comm_base64,omitempty"` // instead, where it is not UTF-8
	Library    string `json:"library,omitempty"`
	LibraryB64 string `json:"library_base64,omitempty"`
	Container  string `json:"container,omitempty"`
	ContainerB string `json:"container_base64,omitempty"`
	Role       string `json:"role,omitempty"`
	Fresh      bool   `json:"fresh,omitempty"`

	// Bind, handshake.
	Local   string `json:"local,omitempty"`
	Remote  string `json:"remote,omitempty"`
	Address string `json:"address,omitempty"` // capture.Evidence; of a handshake also "made up"
	Why     string `json:"why,omitempty"`     // the reason for made-up addresses

	// Lost, unsent, data.
	Offset *uint64 `json:"offset,omitempty"`
	Length *uint64 `json:"length,omitempty"`

	// Statistics, end: capture.Stats.
	Events     uint64 `json:"events,omitempty"`
	Bytes      uint64 `json:"bytes,omitempty"`
	LostEvents uint64 `json:"lost_events,omitempty"`
	LostBytes  uint64 `json:"lost_bytes,omitempty"`
	NotCopied  uint64 `json:"not_copied,omitempty"`
	Missed     uint64 `json:"missed,omitempty"`
}

// comment is the text that parseNote reads back: one line of printable ASCII.
// What check lets pass makes less than maxOption octets.
func (n *note) comment() []byte {
	var b bytes.Buffer
	b.WriteString(notePrefix)
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	// It cannot fail: the members are numbers and text, and each year that an
	// int64 of nanoseconds reaches has four digits.
	_ = enc.Encode(n)
	return appendASCII(nil, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// parseNote returns nil for a comment that is not a note.
func parseNote(comment []byte) (*note, error) {
	rest, ok := bytes.CutPrefix(comment, []byte(notePrefix))
	if !ok {
		return nil, nil
	}
	n := new(note)
	if err := json.Unmarshal(rest, n); err != nil {
		return nil, err
	}
	return n, nil
}

// appendASCII appends JSON text with everything beyond printable ASCII
// escaped, so that no terminal on which a tool prints a comment can be
// controlled by a process's name.
func appendASCII(dst, text []byte) []byte {
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r < 0x7f:
			dst = append(dst, text[0])
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, hi, lo)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		text = text[n:]
	}
	return dst
}

func (n *note) setTime(ns int64) {
	t := time.Unix(0, ns).UTC()
	n.Time = &t
}

// unixNano is 0 where no time is given.
func (n *note) unixNano() int64 {
	if n.Time == nil {
		return 0
	}
	return n.Time.UnixNano()
}

func (n *note) setInfo(info *capture.ConnInfo) {
	n.FirstTID, n.Fresh = info.TID, info.Fresh
	n.setProcess(info)
}

func (n *note) setProcess(info *capture.ConnInfo) {
	n.PID = info.PID
	n.Comm, n.CommB64 = textOrBase64(info.Comm)
	n.Library, n.LibraryB64 = textOrBase64(info.Library)
	n.Container, n.ContainerB = textOrBase64(info.Container)
	if info.Role != capture.RoleUnknown {
		n.Role = info.Role.String()
	}
}

func (n *note) info() (*capture.ConnInfo, error) {
	info := &capture.ConnInfo{PID: n.PID, TID: n.FirstTID, Fresh: n.Fresh}
	var err error
	if info.Comm, err = fromTextOrBase64(n.Comm, n.CommB64); err != nil {
		return nil, err
	}
	if info.Library, err = fromTextOrBase64(n.Library, n.LibraryB64); err != nil {
		return nil, err
	}
	if info.Container, err = fromTextOrBase64(n.Container, n.ContainerB); err != nil {
		return nil, err
	}
	for _, r := range []capture.Role{capture.Client, capture.Server} {
		if n.Role == r.String() {
			info.Role = r
		}
	}
	return info, nil
}

func (n *note) setBinding(b *capture.Binding) {
	n.Local, n.Remote = addrText(b.Local), addrText(b.Remote)
	if b.Evidence != 0 {
		n.Address = b.Evidence.String()
	}
}

func (n *note) binding() (*capture.Binding, error) {
	b := new(capture.Binding)
	for _, e := range []capture.Evidence{capture.Exact, capture.Inferred, capture.Withdrawn} {
		if n.Address == e.String() {
			b.Evidence = e
		}
	}
	var err error
	b.Local, b.Remote, err = n.addresses()
	return b, err
}

func (n *note) addresses() (local, remote netip.AddrPort, err error) {
	if local, err = parseAddr(n.Local); err != nil {
		return local, remote, err
	}
	remote, err = parseAddr(n.Remote)
	return local, remote, err
}

func (n *note) setStats(s capture.Stats) {
	n.Events, n.Bytes, n.LostEvents, n.LostBytes, n.NotCopied, n.Missed = s.Events, s.Bytes, s.LostEvents, s.LostBytes, s.NotCopied, s.Missed
}

func (n *note) stats() capture.Stats {
	return capture.Stats{
		Events: n.Events, Bytes: n.Bytes, LostEvents: n.LostEvents, LostBytes: n.LostBytes, NotCopied: n.NotCopied, Missed: n.Missed,
	}
}

// addrText is empty for the zero AddrPort.
func addrText(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.String()
}

func parseAddr(s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	return netip.ParseAddrPort(s)
}

func textOrBase64(s string) (text, b64 string) {
	if utf8.ValidString(s) {
		return s, ""
	}
	return "", base64.StdEncoding.EncodeToString([]byte(s))
}

func fromTextOrBase64(text, b64 string) (string, error) {
	if b64 == "" {
		return text, nil
	}
	b, err := base64.StdEncoding.DecodeString(b64)
	return string(b), err
}
