"""A world as a web page: for a person in any browser, and as screenshots and clicks of a real browser.

game       one episode as the page shows it
pictures   the picture of an element
server     the page and its episodes on 127.0.0.1
page/      the page itself: HTML, CSS, JavaScript, no build step
browser    a backend of the environment: Chromium through Playwright (optional, the extra ``browser``)
"""
