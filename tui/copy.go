// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"h2sniff/decode"
	"h2sniff/decode/content"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"
	"h2sniff/decode/visible"

	"github.com/atotto/clipboard"
	"github.com/charmbracelet/x/ansi"
)

// copyChoice is something that can be copied of the row under the cursor.
type copyChoice struct {
	key, name string
	// make gives the text and what has to be said about it. It may take long
	// and runs beside the UI.
	make func(*copying) (text string, notes []string, err error)
}

// copying is what a choice works on. It is not changed while it does.
type copying struct {
	ctx   context.Context
	st    *store.Store
	e     store.Entry
	conn  store.ConnSummary // of the row
	field *decode.Field     // under the cursor; nil: none
	start int64
	masks func(*decode.Field) bool
	parts []octetPart
}

func copyChoices() []copyChoice {
	return []copyChoice{
		{"c", "curl", (*copying).curl},
		{"h", "headers", (*copying).headers},
		{"v", "value", (*copying).value},
		{"x", "hex", (*copying).hex},
		{"j", "JSON", (*copying).json},
		{"b", "body", (*copying).body},
	}
}

// copied is the result of a copy.
type copied struct {
	name  string
	text  string
	notes []string
	err   error
}

// copyRow begins to copy what was chosen.
func (m *Model) copyRow(c copyChoice) {
	e := m.frames.selected()
	if e == nil {
		m.say("no row to copy", false)
		return
	}
	unmasked := m.unmasked
	job := copying{st: m.st, e: *e, start: m.start,
		masks: func(f *decode.Field) bool { return !unmasked && f.Value != "" && isSecret(f) }}
	job.conn, _ = m.conn(e.Conn)
	job.parts = frameParts(&job.e, blockOf(m.st, &job.e), job.masks)
	if l := m.detail.chosen(); l != nil && m.focus == paneDetail && l.part > 0 && l.part <= len(m.detail.parts) {
		if p := &m.detail.parts[l.part-1]; p.name == "field" && p.n < len(m.detail.block.fields) {
			job.field = &m.detail.block.fields[p.n]
		}
	}
	out := m.o.Terminal
	beginOnce(m, workCopy, &work{what: "copying as " + c.name}, func(ctx context.Context) copied {
		job.ctx = ctx
		text, notes, err := c.make(&job)
		r := copied{name: c.name, text: text, notes: notes, err: err}
		if err == nil && ctx.Err() == nil {
			r.notes, r.err = toClipboard(out, text, notes)
		}
		return r
	}, func(m *Model, r copied) { r.show(m) })
}

// show says what became of it.
func (r *copied) show(m *Model) {
	if r.err != nil {
		m.say("not copied: "+r.err.Error(), true)
		return
	}
	text := "copied as " + r.name + ", " + plural(len(r.text), "octet")
	if len(r.notes) > 0 {
		text += "; " + strings.Join(r.notes, "; ")
	}
	m.say(text, false)
}

// maxOSC52 is what terminals take at most, in octets of base64 (xterm, hterm
// and others have about this limit).
const maxOSC52 = 74994

// errNoClipboard says that there is nowhere to copy to.
var errNoClipboard = errors.New("no terminal and no desktop to copy to")

// toClipboard hands a text to the terminal (OSC 52, which works through ssh
// too) and, where there is a desktop, to its clipboard.
func toClipboard(out io.Writer, text string, notes []string) ([]string, error) {
	done := false
	if out != nil {
		sequence := ansi.SetSystemClipboard(text)
		if strings.HasPrefix(os.Getenv("TERM"), "screen") && os.Getenv("TMUX") == "" {
			sequence = ansi.ScreenPassthrough(sequence, 0)
		}
		// One write, so that nothing of a screen gets in between.
		if _, err := io.WriteString(out, sequence); err == nil {
			done = true
		}
		if len(sequence) > maxOSC52 {
			notes = append(notes, "more than some terminals take")
		}
	}
	if (os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "") && !clipboard.Unsupported {
		if clipboard.WriteAll(text) == nil {
			done = true
		}
	}
	if !done {
		return nil, errNoClipboard
	}
	return notes, nil
}

func (c *copying) isFrame() error {
	if c.e.Kind != decode.RowFrame {
		return errors.New("this row is no frame")
	}
	return nil
}

// exchange is that of the frame's stream.
func (c *copying) exchange() (*content.Exchange, error) {
	if err := c.isFrame(); err != nil {
		return nil, err
	}
	if c.e.Header.StreamID == 0 {
		return nil, errors.New("this frame belongs to no stream")
	}
	x := exchangeOf(c.ctx, c.st, c.e.Conn, c.e.Header.StreamID)
	if x == nil {
		return nil, errors.New("the stream has left the history")
	}
	return x, nil
}

func (c *copying) curl() (string, []string, error) {
	x, err := c.exchange()
	if err != nil {
		return "", nil, err
	}
	return curlCommand(x, c.masks)
}

// headers is the field section of the frame or, where it has none, of the
// message that it is a part of.
func (c *copying) headers() (string, []string, error) {
	if err := c.isFrame(); err != nil {
		return "", nil, err
	}
	fields := c.e.Fields
	if !c.e.HasFields {
		x, err := c.exchange()
		if err != nil {
			return "", nil, err
		}
		fields = x.Sides[c.e.Direction&1].Fields
	}
	if len(fields) == 0 {
		return "", nil, errors.New("no header fields are known here")
	}
	var b strings.Builder
	masked := 0
	for i := range fields {
		f := &fields[i]
		value := fieldValue(f, len(f.Value))
		if c.masks(f) {
			value, masked = maskDots, masked+1
		}
		fmt.Fprintf(&b, "%s: %s\n", fieldName(f, len(f.Name)), value)
	}
	return b.String(), maskedNote(masked), nil
}

func maskedNote(n int) []string {
	if n == 0 {
		return nil
	}
	return []string{plural(n, "value") + " masked (* shows)"}
}

func (c *copying) value() (string, []string, error) {
	f := c.field
	switch {
	case f == nil:
		return "", nil, errors.New("no header field is under the cursor of the detail")
	case c.masks(f):
		return "", nil, errors.New("the value is masked, * shows it")
	case f.Trust != decode.TrustExact && !f.ValueKnown:
		return "", nil, errors.New("the value is not known")
	}
	return visible.String(f.Value), nil, nil
}

// hexLine is how many octets a line of copied hex has, as of xxd -p.
const hexLine = 30

func (c *copying) hex() (string, []string, error) {
	if err := c.isFrame(); err != nil {
		return "", nil, err
	}
	v := frameHex(&c.e, c.parts, 80)
	for i := range v.parts {
		if v.parts[i].secret {
			return "", nil, errors.New("the octets hold a masked value, * shows it")
		}
	}
	all := append(append([]byte(nil), v.head...), v.data...)
	var b strings.Builder
	for len(all) > 0 {
		n := min(hexLine, len(all))
		b.WriteString(hex.EncodeToString(all[:n]) + "\n")
		all = all[n:]
	}
	var notes []string
	if c.e.Missing > 0 {
		notes = []string{"zeroes stand for " + plural(int(c.e.Missing), "octet") + " that were not captured"}
	} else if n := int(c.e.Header.Length) - len(c.e.Payload); n > 0 {
		notes = []string{"the last " + plural(n, "octet") + " were not captured"}
	}
	return b.String(), notes, nil
}

func (c *copying) json() (string, []string, error) {
	e, masked := maskedEntry(c.e, c.masks)
	var b bytes.Buffer
	w := lines.NewWriter(&b, lines.Options{Format: lines.JSON, Start: c.start})
	if err := w.Write(e, c.conn); err != nil {
		return "", nil, err
	}
	return b.String(), maskedNote(masked), nil
}

// maskedEntry is a row with dots for the values that are not to be copied.
func maskedEntry(e store.Entry, masks func(*decode.Field) bool) (store.Entry, int) {
	masked := 0
	fields := append([]decode.Field(nil), e.Fields...)
	for i := range fields {
		if masks(&fields[i]) {
			fields[i].Value = maskDots
			masked++
		}
	}
	e.Fields = fields
	return e, masked
}

// body is the body of the frame's direction, decoded, if it is a text.
func (c *copying) body() (string, []string, error) {
	x, err := c.exchange()
	if err != nil {
		return "", nil, err
	}
	m := x.Message(c.e.Direction)
	b, problem := content.Decoded(m, content.Limits{})
	data := b.Prefix()
	if len(data) == 0 {
		return "", nil, errors.New("no body in this direction")
	}
	var notes []string
	for _, why := range []string{problem, b.Problem()} {
		if why != "" {
			notes = append(notes, why)
		}
	}
	text := string(data)
	if !pasteable(text) {
		return hex.EncodeToString(data), append(notes, "in hex: it is no text"), nil
	}
	return text, notes, nil
}

// pasteable tells whether a text holds nothing that could do harm where it is
// pasted: white space is the only control in it.
func pasteable(s string) bool {
	plain := strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return -1
		}
		return r
	}, s)
	return visible.String(plain) == plain
}
