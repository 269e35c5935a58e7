// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"testing"

	cells "github.com/charmbracelet/x/ansi"
)

// A cell of the terminal as it is drawn, in pixels, and its colours: those of
// xterm, a little softer. The usual fonts are 8 pixels wide at the size below.
const (
	cellWidth, cellHeight = 8, 17
	svgMargin             = 10
	svgText, svgGround    = "#d4d4d4", "#16181d"
)

var svgColours = [16]string{"#16181d", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
	"#5c6370", "#ff7b86", "#b1e08f", "#ffd68a", "#7cc3ff", "#dc96f0", "#6fd0dc", "#ffffff"}

// svgStyle is what SGR sequences have set.
type svgStyle struct {
	fg, bg    string
	bold, dim bool
	reverse   bool
}

// set takes the parameters of an SGR sequence (ECMA-48, section 8.3.117).
func (s *svgStyle) set(params string) {
	p := strings.Split(params, ";")
	for i := 0; i < len(p); i++ {
		n, _ := strconv.Atoi(p[i])
		colour := &s.fg
		if n >= 40 && n < 50 || n >= 100 && n < 108 { // of the ground, as 30 and 90 are of the text
			colour = &s.bg
			n -= 10
		}
		switch {
		case p[i] == "" || n == 0:
			*s = svgStyle{}
		case n == 1:
			s.bold = true
		case n == 2:
			s.dim = true
		case n == 7:
			s.reverse = true
		case n == 22:
			s.bold, s.dim = false, false
		case n == 27:
			s.reverse = false
		case n >= 30 && n < 38:
			*colour = svgColours[n-30]
		case n >= 90 && n < 98:
			*colour = svgColours[n-90+8]
		case n == 39:
			*colour = ""
		case n == 38 && i+2 < len(p) && p[i+1] == "5":
			c, _ := strconv.Atoi(p[i+2])
			*colour = svgIndexed(c)
			i += 2
		}
	}
}

// svgIndexed is one of 256 colours: 16, a cube, and greys.
func svgIndexed(c int) string {
	switch {
	case c < 16:
		return svgColours[max(c, 0)]
	case c < 232:
		level := func(n int) int {
			if n == 0 {
				return 0
			}
			return 55 + 40*n
		}
		c -= 16
		return fmt.Sprintf("#%02x%02x%02x", level(c/36), level(c/6%6), level(c%6))
	}
	grey := 8 + 10*(min(c, 255)-232)
	return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
}

// svgOf draws what a terminal of width by height cells shows, as tmux gives it
// with escape sequences. Each run of characters is given its width, so that any
// font keeps to the cells.
func svgOf(screen string, width, height int) string {
	var b strings.Builder
	w, h := width*cellWidth+2*svgMargin, height*cellHeight+2*svgMargin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="6" fill="%s"/>`+"\n", svgGround)
	fmt.Fprintf(&b, `<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="13.29" fill="%s" xml:space="preserve">`+"\n", svgText)
	var style svgStyle
	for y, line := range strings.Split(strings.TrimSuffix(screen, "\n"), "\n") {
		x := 0
		for line != "" {
			text := line
			if at := strings.Index(line, "\x1b["); at == 0 {
				params, rest, _ := strings.Cut(line[2:], "m")
				style.set(params)
				line = rest
				continue
			} else if at > 0 {
				text = line[:at]
			}
			line = line[len(text):]
			x += svgRun(&b, style, text, x, y)
		}
	}
	b.WriteString("</g>\n</svg>\n")
	return b.String()
}

// svgRun draws characters of one style and returns how many cells they take.
func svgRun(b *strings.Builder, s svgStyle, text string, x, y int) int {
	n := cells.StringWidth(text)
	fg, bg := s.fg, s.bg
	if s.reverse {
		fg, bg = bg, fg
		if fg == "" {
			fg = svgGround
		}
		if bg == "" {
			bg = svgText
		}
	}
	px, py := svgMargin+x*cellWidth, svgMargin+y*cellHeight
	if bg != "" {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", px, py, n*cellWidth, cellHeight, bg)
	}
	// Not every program that draws SVG keeps spaces.
	for rest := text; rest != ""; {
		word := strings.TrimLeft(rest, " ")
		px += (len(rest) - len(word)) * cellWidth
		if rest = ""; strings.Contains(word, "  ") {
			at := strings.Index(word, "  ")
			word, rest = word[:at], word[at:]
		}
		if word = strings.TrimRight(word, " "); word == "" {
			break
		}
		w := cells.StringWidth(word) * cellWidth
		fmt.Fprintf(b, `<text x="%d" y="%d" textLength="%d" lengthAdjust="spacingAndGlyphs"`, px, py+13, w)
		px += w
		if fg != "" {
			fmt.Fprintf(b, ` fill="%s"`, fg)
		}
		if s.bold {
			b.WriteString(` font-weight="bold"`)
		}
		if s.dim {
			b.WriteString(` opacity="0.6"`)
		}
		b.WriteString(">")
		xml.EscapeText(b, []byte(word))
		b.WriteString("</text>\n")
	}
	return n
}

// TestSVG: all characters are there, in their places, with their colours, and
// what stands for more than itself in XML is escaped.
func TestSVG(t *testing.T) {
	got := svgOf("a<b  c\x1b[1;32m→ok\x1b[0m \x1b[38;5;196;48;5;4mx\x1b[49my\x1b[39m\n\x1b[7mrow\x1b[27m\x1b[94m2", 20, 2)
	var doc struct {
		G struct {
			Text []struct {
				X      int    `xml:"x,attr"`
				Y      int    `xml:"y,attr"`
				Fill   string `xml:"fill,attr"`
				Weight string `xml:"font-weight,attr"`
				Text   string `xml:",chardata"`
			} `xml:"text"`
			Rect []struct {
				Fill string `xml:"fill,attr"`
			} `xml:"rect"`
		} `xml:"g"`
	}
	if err := xml.Unmarshal([]byte(got), &doc); err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	var text string
	for _, run := range doc.G.Text {
		text += fmt.Sprintf("%d,%d %q %s %s; ", (run.X-svgMargin)/cellWidth, (run.Y-svgMargin)/cellHeight, run.Text, run.Fill, run.Weight)
	}
	want := `0,0 "a<b"  ; 5,0 "c"  ; 6,0 "→ok" ` + svgColours[2] + ` bold; 10,0 "x" #ff0000 ; 11,0 "y" #ff0000 ; 0,1 "row" ` + svgGround + ` ; 3,1 "2" ` + svgColours[12] + ` ; `
	if text != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
	if len(doc.G.Rect) != 2 || doc.G.Rect[0].Fill != svgColours[4] || doc.G.Rect[1].Fill != svgText {
		t.Errorf("%+v", doc.G.Rect)
	}
}
