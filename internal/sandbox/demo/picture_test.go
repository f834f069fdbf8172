package demo

import (
	"fmt"
	"image"
	"image/color"
	"testing"
)

// Pictures of the page are compared by cells: the mean colour of so many pixels of a committed picture, each
// way. A letter that is drawn a little differently changes a small cell a little and a large one hardly; what
// moves or vanishes changes some small ones a lot, and another colour changes large ones.
var cells = []struct {
	size   int     // pixels of a committed picture
	slight float64 // of 255: a smaller difference is none. Letters at whole pixels were seen to make 28 and 3
	stray  int     // cells that may differ more, wherever they are
}{{3, 32, 3}, {24, 5, 0}}

const (
	shrink = 3  // pixels of the page for one of a committed picture, each way
	levels = 16 // of each colour in a committed picture: it is for people to see, and to be small
)

// shrunk is a picture at 1/shrink of its size in so many levels of each colour.
func shrunk(m image.Image) *image.RGBA {
	size := m.Bounds().Size()
	out := image.NewRGBA(image.Rect(0, 0, size.X/shrink, size.Y/shrink))
	step := 255.0 / (levels - 1)
	level := func(v float64) uint8 { return uint8(float64(int(v/step+0.5))*step + 0.5) }
	for y := range size.Y / shrink {
		for x := range size.X / shrink {
			at := m.Bounds().Min.Add(image.Pt(x*shrink, y*shrink))
			mean := meanOf(m, image.Rectangle{Min: at, Max: at.Add(image.Pt(shrink, shrink))})
			out.SetRGBA(x, y, color.RGBA{R: level(mean[0]), G: level(mean[1]), B: level(mean[2]), A: 255})
		}
	}
	return out
}

// meanOf is the mean colour of a part of a picture: red, green, blue, each 0 to 255.
func meanOf(m image.Image, part image.Rectangle) (mean [3]float64) {
	part = part.Intersect(m.Bounds())
	n := float64(part.Dx() * part.Dy() * 257)
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			r, g, b, _ := m.At(x, y).RGBA()
			mean[0] += float64(r) / n
			mean[1] += float64(g) / n
			mean[2] += float64(b) / n
		}
	}
	return mean
}

// alike is an error that says where two shrunk pictures differ, if they do.
func alike(want, got image.Image) error {
	if want.Bounds().Size() != got.Bounds().Size() {
		return fmt.Errorf("the size is %v, want %v", got.Bounds().Size(), want.Bounds().Size())
	}
	for _, c := range cells {
		var differ image.Rectangle
		n, most := 0, 0.0
		for y := want.Bounds().Min.Y; y < want.Bounds().Max.Y; y += c.size {
			for x := want.Bounds().Min.X; x < want.Bounds().Max.X; x += c.size {
				part := image.Rect(x, y, x+c.size, y+c.size)
				a, b := meanOf(want, part), meanOf(got, part)
				by := 0.0
				for i := range a {
					by = max(by, a[i]-b[i], b[i]-a[i])
				}
				if most = max(most, by); by > c.slight {
					n++
					differ = differ.Union(part)
				}
			}
		}
		if n > c.stray {
			return fmt.Errorf("%d cells of %d pixels differ by up to %.0f of 255, all of them in %v", n,
				c.size*shrink, most, image.Rectangle{Min: differ.Min.Mul(shrink), Max: differ.Max.Mul(shrink)})
		}
	}
	return nil
}

// TestPicturesDifferByWhatPeopleSee draws a page of grey lines of text.
func TestPicturesDifferByWhatPeopleSee(t *testing.T) {
	t.Parallel()
	draw := func(change func(x, y int, c uint8) uint8) image.Image {
		m := image.NewGray(image.Rect(0, 0, 390, 300))
		for y := range 300 {
			for x := range 390 {
				c := uint8(255)
				if y/10%2 == 1 && (x*7+y*3)%3 == 0 {
					c = 30
				}
				m.SetGray(x, y, color.Gray{Y: change(x, y, c)})
			}
		}
		return shrunk(m)
	}
	same := func(_, _ int, c uint8) uint8 { return c }
	inButton := func(x, y int) bool { return x >= 100 && x < 160 && y >= 110 && y < 120 }
	for name, tt := range map[string]struct {
		change func(x, y int, c uint8) uint8
		differ bool
	}{
		"nothing":                {same, false},
		"text is drawn paler":    {func(_, _ int, c uint8) uint8 { return c + (255-c)/9 }, false},
		"a speck":                {func(x, y int, c uint8) uint8 { return c * (1 - b2u(x < 8 && y < 8)) }, false},
		"a button is gone":       {func(x, y int, c uint8) uint8 { return max(c, 255*b2u(inButton(x, y))) }, true},
		"a part is grey":         {func(_, y int, c uint8) uint8 { return min(c, 255-25*b2u(y > 200)) }, true},
		"the colours are others": {func(_, _ int, c uint8) uint8 { return 255 - c }, true},
	} {
		if err := alike(draw(same), draw(tt.change)); (err != nil) != tt.differ {
			t.Errorf("%s: %v, want an error: %v", name, err, tt.differ)
		}
	}
	if err := alike(draw(same), image.NewRGBA(image.Rect(0, 0, 10, 10))); err == nil {
		t.Error("pictures of other sizes are alike")
	}
}

func b2u(yes bool) uint8 {
	if yes {
		return 1
	}
	return 0
}
