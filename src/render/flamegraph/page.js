"use strict";
// Returns the widest form of a frame's name that fits into `limit` characters. goflame's function `fit` does the same.
function fit(name, is_go, limit) {
    var plain = name.replace(/ \(inlined\)$/, "");
    var after_path = 0, after_package = 0, after_receiver = 0;
    if (is_go) {
        var path = plain.split(/[[({ ]/, 1)[0];
        after_path = path.lastIndexOf("/") + 1;
        after_package = Math.max(after_path, path.indexOf(".", after_path) + 1);
        var receiver = /^\(\*.*?\)\./.exec(plain.slice(after_package));
        after_receiver = after_package + (receiver ? receiver[0].length : 0);
    }
    var forms = [name, name.slice(after_path)];
    for (var start of [after_path, after_package, after_receiver]) forms.push(plain.slice(start));
    for (var form of forms)
        if (form.length <= limit) return form;
    return limit >= 5 ? plain.slice(after_receiver, after_receiver + limit - 2) + ".." : "";
}
// Replaces the function of inferno's script, which cuts off the beginning or the end of any name.
function update_text_for_elements(elements) {
    var scale = frames.attributes.width.value / 100;
    var char_width = known_font_width || fontsize * fontwidth;
    var texts = Array.from(elements, function(e) {
        var rect = find_child(e, "rect").attributes;
        var name = g_to_text(e).replace(/ \([^(]*\)$/, "");
        var limit = Math.floor((parseFloat(rect.width.value) * scale - 3) / char_width);
        return [format_percent(parseFloat(rect.x.value) + 3 / scale), fit(name, e.classList.contains("go"), limit)];
    });
    // Writes after all reads, so that the browser computes the layout once.
    Array.from(elements).forEach(function(e, at) {
        var text = find_child(e, "text");
        text.attributes.x.value = texts[at][0];
        text.textContent = texts[at][1];
    });
}
// Breaks a text at spaces into lines of at most `width` pixels. Returns the vertical position of the last line.
function wrap(element, width, top, line_height) {
    if (!element.words) {
        element.words = element.textContent.split(" ");
        element.char_width = element.getComputedTextLength() / Math.max(element.textContent.length, 1);
    }
    var limit = Math.max(Math.floor(width / element.char_width), 8);
    var lines = [""];
    for (var word of element.words) {
        var last = lines.length - 1;
        if (lines[last] && lines[last].length + 1 + word.length > limit) lines.push(word);
        else lines[last] += (lines[last] && " ") + word;
        while (lines[lines.length - 1].length > limit) {
            var line = lines.pop();
            lines.push(line.slice(0, limit), line.slice(limit));
        }
    }
    element.textContent = "";
    lines.forEach(function(line, at) {
        var part = document.createElementNS("http://www.w3.org/2000/svg", "tspan");
        part.setAttribute("x", "50%");
        part.setAttribute("y", top + at * line_height);
        part.textContent = line;
        element.appendChild(part);
    });
    return top + (lines.length - 1) * line_height;
}
// Places the entries of the legend in rows. Returns the bottom of the last row.
function lay_out_legend(width, top) {
    var x = 10;
    for (var entry of document.getElementById("legend").children) {
        var entry_width = 16 + find_child(entry, "text").getComputedTextLength();
        if (x > 10 && x + entry_width > width - 10) {
            x = 10;
            top += 18;
        }
        entry.setAttribute("transform", "translate(" + x + "," + top + ")");
        x += entry_width + 20;
    }
    return top + 18;
}
// Fits title, subtitle and legend to the window, and moves the frames below them.
function lay_out() {
    var width = svg.width.baseVal.value;
    // The buttons are at both sides of the title.
    var bottom = wrap(document.getElementById("title"), width - 220, 24, 20);
    bottom = wrap(document.getElementById("subtitle"), width - 20, bottom + 24, 16);
    var shift = lay_out_legend(width, bottom + 9) - titles_height;
    document.getElementById("body").setAttribute("transform", "translate(0," + shift + ")");
    svg.setAttribute("height", inner_height + shift);
}
window.addEventListener("resize", lay_out);
window.addEventListener("load", function() { setTimeout(lay_out, 0); });
