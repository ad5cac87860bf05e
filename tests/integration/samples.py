"""Stand-ins for the sample databases, for machines that do not have them: tables of the same names and shapes (composite
keys, references to the own table, keys of text, a table without rows), with made-up rows, always the same."""
import random
import sqlite3

CHINOOK = """
CREATE TABLE Artist (ArtistId INTEGER NOT NULL PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE Album (AlbumId INTEGER NOT NULL PRIMARY KEY, Title NVARCHAR(160) NOT NULL, ArtistId INTEGER NOT NULL
  REFERENCES Artist (ArtistId));
CREATE TABLE Employee (EmployeeId INTEGER NOT NULL PRIMARY KEY, LastName NVARCHAR(20) NOT NULL, City NVARCHAR(40),
  ReportsTo INTEGER REFERENCES Employee (EmployeeId), HireDate DATETIME);
CREATE TABLE Customer (CustomerId INTEGER NOT NULL PRIMARY KEY, FirstName NVARCHAR(40) NOT NULL, Email NVARCHAR(60),
  SupportRepId INTEGER REFERENCES Employee (EmployeeId));
CREATE TABLE Invoice (InvoiceId INTEGER NOT NULL PRIMARY KEY, CustomerId INTEGER NOT NULL REFERENCES Customer (CustomerId),
  BillingCity NVARCHAR(40), Total NUMERIC(10,2) NOT NULL);
CREATE TABLE Genre (GenreId INTEGER NOT NULL PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE MediaType (MediaTypeId INTEGER NOT NULL PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE Track (TrackId INTEGER NOT NULL PRIMARY KEY, Name NVARCHAR(200) NOT NULL, AlbumId INTEGER
  REFERENCES Album (AlbumId), MediaTypeId INTEGER NOT NULL REFERENCES MediaType (MediaTypeId), GenreId INTEGER
  REFERENCES Genre (GenreId), Composer NVARCHAR(220), Milliseconds INTEGER NOT NULL, UnitPrice NUMERIC(10,2) NOT NULL);
CREATE TABLE InvoiceLine (InvoiceLineId INTEGER NOT NULL PRIMARY KEY, InvoiceId INTEGER NOT NULL
  REFERENCES Invoice (InvoiceId), TrackId INTEGER NOT NULL REFERENCES Track (TrackId), Quantity INTEGER NOT NULL);
CREATE TABLE Playlist (PlaylistId INTEGER NOT NULL PRIMARY KEY, Name NVARCHAR(120));
CREATE TABLE PlaylistTrack (PlaylistId INTEGER NOT NULL REFERENCES Playlist (PlaylistId), TrackId INTEGER NOT NULL
  REFERENCES Track (TrackId), PRIMARY KEY (PlaylistId, TrackId));
CREATE INDEX TrackAlbum ON Track (AlbumId);
"""

NORTHWIND = """
CREATE TABLE Categories (CategoryID INTEGER PRIMARY KEY AUTOINCREMENT, CategoryName TEXT, Description TEXT, Picture BLOB);
CREATE TABLE Customers (CustomerID TEXT PRIMARY KEY, CompanyName TEXT, City TEXT, Country TEXT);
CREATE TABLE CustomerDemographics (CustomerTypeID TEXT NOT NULL PRIMARY KEY, CustomerDesc TEXT);
CREATE TABLE CustomerCustomerDemo (CustomerID TEXT NOT NULL REFERENCES Customers (CustomerID), CustomerTypeID TEXT NOT NULL
  REFERENCES CustomerDemographics (CustomerTypeID), PRIMARY KEY (CustomerID, CustomerTypeID));
CREATE TABLE Employees (EmployeeID INTEGER PRIMARY KEY AUTOINCREMENT, LastName TEXT, BirthDate DATE, ReportsTo INTEGER
  REFERENCES Employees (EmployeeID), Photo BLOB);
CREATE TABLE Regions (RegionID INTEGER NOT NULL PRIMARY KEY, RegionDescription TEXT NOT NULL);
CREATE TABLE Territories (TerritoryID TEXT NOT NULL PRIMARY KEY, TerritoryDescription TEXT NOT NULL, RegionID INTEGER NOT NULL
  REFERENCES Regions (RegionID));
CREATE TABLE EmployeeTerritories (EmployeeID INTEGER NOT NULL REFERENCES Employees (EmployeeID), TerritoryID TEXT NOT NULL
  REFERENCES Territories (TerritoryID), PRIMARY KEY (EmployeeID, TerritoryID));
CREATE TABLE Shippers (ShipperID INTEGER PRIMARY KEY AUTOINCREMENT, CompanyName TEXT NOT NULL, Phone TEXT);
CREATE TABLE Suppliers (SupplierID INTEGER PRIMARY KEY AUTOINCREMENT, CompanyName TEXT NOT NULL, City TEXT);
CREATE TABLE Products (ProductID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, ProductName TEXT NOT NULL, SupplierID INTEGER
  REFERENCES Suppliers (SupplierID), CategoryID INTEGER REFERENCES Categories (CategoryID), UnitPrice NUMERIC DEFAULT 0
  CHECK (UnitPrice >= 0), UnitsInStock INTEGER DEFAULT 0);
CREATE TABLE Orders (OrderID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, CustomerID TEXT REFERENCES Customers (CustomerID),
  EmployeeID INTEGER REFERENCES Employees (EmployeeID), OrderDate DATETIME, ShipVia INTEGER REFERENCES Shippers (ShipperID),
  Freight NUMERIC DEFAULT 0);
CREATE TABLE "Order Details" (OrderID INTEGER NOT NULL REFERENCES Orders (OrderID), ProductID INTEGER NOT NULL
  REFERENCES Products (ProductID), UnitPrice NUMERIC NOT NULL DEFAULT 0, Quantity INTEGER NOT NULL DEFAULT 1
  CHECK (Quantity > 0), Discount REAL NOT NULL DEFAULT 0, PRIMARY KEY (OrderID, ProductID));
"""

ROWS = {"Track": 1500, "InvoiceLine": 1200, "PlaylistTrack": 1500, "Invoice": 400, "Album": 300, "Artist": 200,
        "Order Details": 1200, "Orders": 600, "Products": 77, "CustomerCustomerDemo": 0, "CustomerDemographics": 0}
SCHEMAS = {"chinook.sqlite": CHINOOK, "northwind.sqlite": NORTHWIND}


def make(name, path):
    """Writes the stand-in for the sample `name` to `path`."""
    rng = random.Random(name)
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMAS[name])
    keys = {}
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall()
    for (table,) in tables:
        columns = connection.execute("SELECT name, upper(type), pk FROM pragma_table_info(?)", (table,)).fetchall()
        parents = dict(connection.execute("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?)", (table,)))
        keys[table] = []
        for i in range(1, ROWS.get(table, 40) + 1):
            row = [value(rng, table, i, column, kind, pk, keys.get(parents.get(column))) for column, kind, pk in columns]
            done = connection.execute("INSERT OR IGNORE INTO \"%s\" VALUES (%s)" % (table, ", ".join("?" * len(row))), row)
            if done.rowcount:
                keys[table].append(row[0])
    connection.commit()
    connection.close()


def value(rng, table, i, column, kind, pk, parents):
    if parents is not None:
        return rng.choice(parents) if parents else None
    if pk:
        return i if kind == "INTEGER" else "%s%04d" % (table[:3].upper(), i)
    if kind == "BLOB":
        return rng.randbytes(30)
    if kind.startswith("DATE"):
        return "20%02d-%02d-%02d" % (rng.randrange(10, 26), rng.randrange(1, 13), rng.randrange(1, 29))
    if kind == "INTEGER":
        return rng.randrange(1, 500)
    if kind == "REAL" or kind.startswith("NUMERIC"):
        return rng.randrange(2000) / 100
    return "%s %d of %s é" % (column, i, table)
